module github.com/nodebus/nodebus/bench

go 1.25.0

replace github.com/nodebus/nodebus => ../

require (
	github.com/DavidGamba/go-getoptions v0.29.1-0.20240105065605-b7ada72ecac6
	github.com/ThreeDotsLabs/watermill v1.5.1
	github.com/asaskevich/EventBus v0.0.0-20200907212545-49d423059eef
	github.com/coder/websocket v1.8.15
	github.com/heimdalr/dag v1.5.0
	github.com/lxzan/gws v1.8.9
	github.com/nodebus/nodebus v0.0.0
	github.com/olahol/melody v1.1.4
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/dolthub/maphash v0.1.0 // indirect
	github.com/emirpasic/gods v1.18.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/klauspost/compress v1.18.0 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
