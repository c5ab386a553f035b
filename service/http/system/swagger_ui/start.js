// A file of its own, so that the page's Content-Security-Policy needs no inline script.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});

// Swagger UI has a dark theme, and leaves it to the page when to show it.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// page.css hides the details of an error response until it is clicked.
document.addEventListener("click", (event) => event.target.closest("tr.response")?.classList.add("open"));
