//go:build race

package idempotency_test

const simRace = true
