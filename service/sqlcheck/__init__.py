"""What DBAs get: every SQL file and every migration, checked against a real PostgreSQL before anything is deployed."""
