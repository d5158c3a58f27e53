package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/steadfast-go/steadfast/idempotency"
)

const (
	from = "orders@stillwater.example"
	host = "stillwater.example"
)

// SMTP hands messages to a mail server. It dials for each: they are few.
type SMTP struct{ client *gomail.Client }

// NewSMTP returns a sender to the server at an address, which asks for no password and no TLS: a relay on this machine, or
// the sink.
func NewSMTP(address string) (*SMTP, error) {
	server, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("mail: the server is %q: give host:port: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("mail: the server's port is %q: give a number: %w", port, err)
	}
	client, err := gomail.NewClient(server, gomail.WithPort(number), gomail.WithTLSPolicy(gomail.NoTLS),
		gomail.WithTimeout(10*time.Second), gomail.WithHELO(host), gomail.WithoutNoop())
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return &SMTP{client}, nil
}

// Send sends a message. SMTP cannot be asked whether an earlier attempt arrived, so there may be copies; they all have one
// Message-ID, made from m.ID, by which mail programs show them once.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg()
	if err := errors.Join(msg.From(from), msg.To(m.To)); err != nil {
		return idempotency.Rejected("address", err)
	}
	msg.SetMessageIDWithValue(m.ID + "@" + host)
	msg.Subject(oneLine(m.Subject))
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.SetGenHeader("X-Order-Status", oneLine(m.Status))
	err := s.client.DialAndSendWithContext(ctx, msg)
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() >= 500 { // for good; 4xx may be tried again
		return idempotency.Rejected(strconv.Itoa(refused.ErrorCode()), err)
	}
	return err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
