module github.com/nodebus/nodebus/e2e

go 1.25.0

replace github.com/nodebus/nodebus => ../

require (
	github.com/nodebus/nodebus v0.0.0
	github.com/richinsley/comfy2go v0.7.1
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/google/uuid v1.3.0 // indirect
	github.com/gorilla/websocket v1.5.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
