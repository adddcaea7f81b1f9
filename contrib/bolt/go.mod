module github.com/nodebus/nodebus/contrib/bolt

go 1.25.0

replace github.com/nodebus/nodebus => ../..

require (
	github.com/nodebus/nodebus v0.0.0
	github.com/stretchr/testify v1.12.1
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.45.0 // indirect
)
