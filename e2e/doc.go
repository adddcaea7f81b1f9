// Package e2e has no code of its own: its tests run clients that others wrote
// for ComfyUI against the server of package comfy. They are two JavaScript SDKs,
// a Python script, and the official web front end in a headless browser.
//
// The tests have the build tag e2e, since they need Node.js, Python, Chromium
// and packages of npm and PyPI. The script run in this folder installs what is
// missing and starts them.
package e2e
