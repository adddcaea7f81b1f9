// Package e2e contains only tests. They run ComfyUI clients by other authors against
// the server of package comfy: two JavaScript SDKs, a Python script, and the official
// web front end in a headless browser. They also read the streams of package sse with
// curl and with the browser, through nginx and without it. They use the JavaScript module
// in pages that are hidden, frozen or busy, behind lines that break, and the pages of
// examples/webpage and of docs/browser.md. They also run the module's own tests and the suite
// conform.Client on it, measure it, and check its types.
//
// Package hosts, below, runs the server in routers, and behind nginx and Caddy.
//
// The tests have the build tag e2e because they need Node.js, Python, Chromium, curl,
// nginx, Caddy and packages from npm and PyPI. The script run in this folder installs what is missing
// and starts the tests.
package e2e
