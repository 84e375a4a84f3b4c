package postgrestest

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line is a way to the database that stands still in the middle of what a client does, as if its host were frozen or cut off:
// the connections stay open, and nothing passes.
type Line struct {
	listener net.Listener
	server   string
	dsn      url.URL
	text     []byte

	held   chan struct{} // closed when the first connection stands still
	frozen chan struct{} // closed when all that are made stand still
	mended chan struct{} // closed when all go on
	once   struct{ held, frozen, mended sync.Once }
}

// NewLine leads to the database of dsn. A connection stands still behind the packet in which its client has sent text, until
// the line is mended or the test ends.
func NewLine(t testing.TB, dsn, text string) *Line {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("the URL of the database: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{listener: listener, server: u.Host, dsn: *u, text: []byte(text), held: make(chan struct{}), frozen: make(chan struct{}), mended: make(chan struct{})}
	l.dsn.Host = listener.Addr().String()
	go l.accept()
	t.Cleanup(func() { l.Mend(); _ = listener.Close() })
	return l
}

// URL is that of the database by this line.
func (l *Line) URL() string { return l.dsn.String() }

// Held is closed once a connection stands still.
func (l *Line) Held() <-chan struct{} { return l.held }

// Freeze has all connections stand still, also those that are yet to be made.
func (l *Line) Freeze() { l.once.frozen.Do(func() { close(l.frozen) }) }

// Mend lets everything pass, what was held back first.
func (l *Line) Mend() { l.once.mended.Do(func() { close(l.mended) }) }

func (l *Line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(client)
	}
}

func (l *Line) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return // the client sees its connection end
	}
	defer func() { _ = server.Close() }()
	c := &carried{line: l, still: make(chan struct{})}
	go func() {
		_, _ = io.Copy(sending{c, server}, client) // whichever side ends first, the other learns it
		_ = server.Close()
	}()
	_, _ = io.Copy(receiving{c, client}, server)
}

// carried is one connection.
type carried struct {
	line  *Line
	still chan struct{} // closed when it stands still
	once  sync.Once
}

// wait holds back what comes after the text.
func (c *carried) wait() {
	select {
	case <-c.still:
		<-c.line.mended
	case <-c.line.frozen:
		<-c.line.mended
	default:
	}
}

// sending writes to the server.
type sending struct {
	*carried
	io.Writer
}

func (s sending) Write(p []byte) (int, error) {
	s.wait()
	n, err := s.Writer.Write(p)
	if bytes.Contains(p, s.line.text) {
		s.once.Do(func() { close(s.still) })
		s.line.once.held.Do(func() { close(s.line.held) })
	}
	return n, err
}

// receiving writes to the client.
type receiving struct {
	*carried
	io.Writer
}

func (r receiving) Write(p []byte) (int, error) {
	r.wait()
	return r.Writer.Write(p)
}
