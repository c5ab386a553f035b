// Fastify with @fastify/jwt and pg, on the service's own SQL files; each is prepared once a connection, by its name.
// Answers have schemas, so that Fastify compiles their serialisers.

import { readFileSync } from "node:fs";
import fastifyJwt from "@fastify/jwt";
import Fastify from "fastify";
import pg from "pg";

const sql = (name) => readFileSync(`${process.env.SQL}/${name.replace(".", "/")}.sql`, "utf8");
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ max: Number(process.env.DATABASE_POOL_SIZE) });
const app = Fastify();
app.register(fastifyJwt, { secret: process.env.SECRET_KEY, verify: { algorithms: ["HS256"] } });

const string = { type: "string" };
const pet = { type: "object", properties: { id: { type: "integer" }, pet_name: string, user_id: string } };
const user = { type: "object", properties: { id: string, email: string } };
const body = {
  type: "object",
  required: ["pet_name"],
  additionalProperties: false,
  properties: { pet_name: { type: "string", minLength: 1, maxLength: 50 } },
};

const texts = Object.fromEntries(["users.show_me", "pets.list_my_pets", "pets.create_pet"].map((name) => [name, sql(name)]));

async function fetch(reply, name, values) {
  const { rows } = await pool.query({ name, text: texts[name], values });
  if (rows.length === 0) {
    reply.code(401);
    throw new Error("the session has ended");
  }
  return rows;
}

app.get("/health/live", async () => "");

app.register(async (secured) => {
  secured.addHook("onRequest", (request) => request.jwtVerify());

  secured.get("/users/me", { schema: { response: { 200: user } } }, async (request, reply) => {
    return (await fetch(reply, "users.show_me", [request.user.sid, request.user.sub]))[0];
  });

  secured.get("/pets/me", { schema: { response: { 200: { type: "array", items: pet } } } }, async (request, reply) => {
    const rows = await fetch(reply, "pets.list_my_pets", [request.user.sid, request.user.sub, "", 0, Number(request.query.limit ?? 100)]);
    return rows[0].id === null ? [] : rows;
  });

  secured.post("/pets/create", { schema: { body, response: { 201: pet } } }, async (request, reply) => {
    reply.code(201);
    return (await fetch(reply, "pets.create_pet", [request.user.sid, request.user.sub, request.body.pet_name]))[0];
  });
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
