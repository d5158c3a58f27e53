package demo

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// server is an HTTP server on a free port of the loopback.
type server struct {
	address string
	url     string
	http    *http.Server
	served  chan error
}

// freePort is the address of a port that is free.
const freePort = "127.0.0.1:0"

func serve(ctx context.Context, address string, h http.Handler) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &server{
		address: listener.Addr().String(),
		url:     "http://" + listener.Addr().String(),
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0), // connections are broken on purpose
		},
		served: make(chan error, 1),
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// stop waits for the requests under way, as long as ctx lasts, and ends the server.
func (s *server) stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if ended := <-s.served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// cut ends the server as a crash does: its connections break, whatever was under way.
func (s *server) cut() error {
	err := s.http.Close()
	if ended := <-s.served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
