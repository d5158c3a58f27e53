module github.com/steadfast-go/steadfast/examples

go 1.25.0

require github.com/steadfast-go/steadfast v0.0.0

replace github.com/steadfast-go/steadfast => ..
