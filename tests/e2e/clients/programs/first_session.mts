// README's first session, with openapi-fetch and the types that openapi-typescript makes. Prints each answer as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [url, email, password] = process.argv.slice(2) as [string, string, string];
const api = createClient<paths>({ baseUrl: url });

function expect<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
    if (error !== undefined || data === undefined) throw new Error(error?.detail);
    return data;
}

const user = expect(await api.POST("/users/register", { body: { email, password } }));
const tokens = expect(
    await api.POST("/auth/access-token", {
        body: { username: user.email, password },
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
    }),
);
const headers = { Authorization: `Bearer ${tokens.access_token}` };
const pet = expect(
    await api.POST("/pets/create", {
        body: { pet_name: "Tadeusz" },
        params: { header: { "Idempotency-Key": "first-session" } },
        headers,
    }),
);
const pets = expect(await api.GET("/pets/me", { params: { query: { limit: 10 } }, headers }));
const { error: refusal } = await api.GET("/pets/me");

for (const answer of [user, pet, pets, refusal]) console.log(JSON.stringify(answer));
