// Package e2e contains only tests. They run ComfyUI clients by other authors against
// the server of package comfy: two JavaScript SDKs, a Python script, and the official
// web front end in a headless browser.
//
// The tests have the build tag e2e because they need Node.js, Python, Chromium and
// packages from npm and PyPI. The script run in this folder installs what is missing
// and starts the tests.
package e2e
