module github.com/steadfast-go/steadfast/internal/bench

go 1.25.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/failsafe-go/failsafe-go v0.9.8
	github.com/google/uuid v1.6.0
	github.com/sony/gobreaker/v2 v2.4.0
	github.com/steadfast-go/steadfast v0.0.0
	golang.org/x/sync v0.22.0
)

require github.com/bits-and-blooms/bitset v1.24.4 // indirect

replace github.com/steadfast-go/steadfast => ../..
