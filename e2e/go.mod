module github.com/nodebus/nodebus/e2e

go 1.25.0

replace github.com/nodebus/nodebus => ../

require (
	github.com/nodebus/nodebus v0.0.0
	github.com/stretchr/testify v1.12.1
)
