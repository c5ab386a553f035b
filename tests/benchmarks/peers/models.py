"""The schema as SQLAlchemy sees it."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables have in common."""


class User(Base):
    """An account."""

    __tablename__ = "user_model"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    hashed_password: Mapped[str] = mapped_column(String(255))


class Pet(Base):
    """A pet."""

    __tablename__ = "pets"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_model.id"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    pet_name: Mapped[str] = mapped_column(String(50))
