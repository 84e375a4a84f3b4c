package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
)

// overWire sends bytes as they are to the public listener, all of them before it reads, and reads the answer to its end.
func overWire(t *testing.T, s *running, request string, body io.Reader) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.api, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, body); err != nil {
		t.Errorf("%.40q: the connection was cut while the body was sent: %v", request, err)
		return nil, ""
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%.40q: no answer: %v", request, err)
		return nil, ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("%.40q: the answer is cut: %v", request, err)
	}
	return answer, string(text)
}

// TestOddRequestsAreAnsweredLikeAllOthers sends what net/http would answer itself, and bodies that are too long, of known and of unknown
// length, by clients that read no answer before they have sent everything.
func TestOddRequestsAreAnsweredLikeAllOthers(t *testing.T) {
	t.Parallel()
	s := start(t, environment(t))
	const long = 3 << 20
	const post = "POST /v1/integrations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		request string
		body    io.Reader
		status  int
		code    string
	}{
		"OPTIONS *":       {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", strings.NewReader(""), http.StatusNotFound, api.CodeNotFound},
		"of known length": {post + "Content-Length: 3145728\r\n\r\n", io.LimitReader(zeros{}, long), http.StatusRequestEntityTooLarge, api.CodePayloadTooLarge},
	} {
		answer, text := overWire(t, s, c.request, c.body)
		if answer == nil {
			continue
		}
		var p api.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Errorf("%s: no problem document: %q", name, text)
		}
		if answer.StatusCode != c.status || p.Code != c.code || answer.Header.Get("Content-Type") != "application/problem+json" ||
			answer.Header.Get("X-Request-Id") == "" || answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v %s", name, answer.StatusCode, answer.Header, text)
		}
	}
}

// TestAnUnknownExpectationTellsNothing sends one that net/http refuses before anybody of ours hears of it.
func TestAnUnknownExpectationTellsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, environment(t))
	answer, text := overWire(t, s, "GET /v1/version HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n", strings.NewReader(""))
	if answer == nil || answer.StatusCode != http.StatusExpectationFailed || text != "" || !answer.Close || answer.Header.Get("Server") != "" {
		t.Errorf("%v %q", answer, text)
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
