# For people's habits; CI runs .ci/run, which is the whole truth.
.PHONY: all build test race lint bench demo ci
all: build lint test
build: ; go build work && go vet work
test:  ; go test work
race:  ; go test -race work
lint: bin/golangci-lint
	@for d in $$(go list -m -f '{{.Dir}}'); do (cd $$d && $(CURDIR)/bin/golangci-lint run ./...) || exit 1; done
bin/golangci-lint: tools/go.mod ; GOWORK=off go -C tools build -o ../bin/ tool
bench: ; go run ./internal/bench
demo:  ; go run ./examples/store demo
ci:    ; bash .ci/run
