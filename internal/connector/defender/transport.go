package defender

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

var errForbiddenAddress = errors.New("the address is not a public one")

const maxHeaderBytes = 64 << 10

// newClient makes the only HTTP client of a connector. It follows no redirect, since none is part of the API and each
// would carry the credential away.
func newClient(cfg Config) *http.Client {
	dialer := &net.Dialer{Timeout: cfg.Timeouts.Connect}
	if !cfg.AllowInsecure && cfg.Proxy == nil {
		dialer.Control = refusePrivate
	}
	return &http.Client{
		Transport: nameRequests{&http.Transport{
			Proxy:                  cfg.Proxy,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    cfg.Timeouts.TLS,
			ResponseHeaderTimeout:  cfg.Timeouts.Header,
			MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        cfg.Timeouts.Header * 3,
			ReadBufferSize:         64 << 10,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refusePrivate looks at the address after name resolution, where a forged DNS answer cannot hide it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return errForbiddenAddress
	}
	ip := target.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip) {
		return errForbiddenAddress
	}
	return nil
}

// sharedSpace is the carrier-grade NAT range (RFC 6598), in which some clouds keep their metadata services.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

const maxTokenBody = 256 << 10

// wholeBody hands over answers only once their body has arrived whole, so that a body that breaks off is told as what it
// is, a network fault. It is for token requests: their library reports it like an answer that makes no sense.
type wholeBody struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w wholeBody) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read-only
	text, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody))
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}
