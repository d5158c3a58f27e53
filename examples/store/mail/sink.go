package mail

import (
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMessage is the largest message that the sink takes, in bytes.
const maxMessage = 256 << 10

// Sink is a mail server that takes everything, and forwards nothing: its mailbox keeps what came.
type Sink struct {
	server   *smtp.Server
	listener net.Listener
	served   chan error
	// Address is where it listens.
	Address string
}

// ListenSMTP opens a sink on a free port of the loopback, or on the one that is given.
func ListenSMTP(address string, into *Mailbox) (*Sink, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{into: into}, nil }))
	server.Domain = host
	server.MaxMessageBytes, server.MaxRecipients = maxMessage, 10
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	s := &Sink{server: server, listener: listener, served: make(chan error, 1), Address: listener.Addr().String()}
	go func() { s.served <- server.Serve(listener) }()
	return s, nil
}

// Close ends it.
func (s *Sink) Close() error {
	err := s.server.Close()
	_ = s.listener.Close() // a server that has not begun to serve does not know it yet
	if ended := <-s.served; !errors.Is(ended, smtp.ErrServerClosed) && !errors.Is(ended, net.ErrClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// session is one client's connection.
type session struct {
	into *Mailbox
	to   string
}

func (s *session) Reset()        { s.to = "" }
func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

// Data takes the message.
func (s *session) Data(r io.Reader) error {
	msg, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	body := msg.Body
	if strings.EqualFold(msg.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil {
		subject = msg.Header.Get("Subject")
	}
	s.into.put(Message{
		ID: strings.Trim(msg.Header.Get("Message-Id"), "<>"), Channel: Email, To: s.to, Subject: subject,
		Status: msg.Header.Get("X-Order-Status"), Text: strings.TrimSpace(string(text)),
	})
	return nil
}
