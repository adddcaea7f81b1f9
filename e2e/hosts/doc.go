// Package hosts contains only tests. They run a server of package comfy where programs put
// it: in the routers gin and echo, and behind nginx and Caddy, with the configurations of
// docs/deploy.md. The tests have the build tag e2e; the script e2e/run installs what
// they need.
package hosts
