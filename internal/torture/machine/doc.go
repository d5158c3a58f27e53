// Package machine drives a store, and a wrapper, through random sequences of requests, and shrinks what goes wrong to a few steps.
package machine
