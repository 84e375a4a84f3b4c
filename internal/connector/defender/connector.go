package defender

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"pgp.internal/defender/internal/connector"
)

// Connector is the kind "microsoft-defender". It is safe for concurrent use; one per process is enough, and only sources
// of the same Connector share connections. Its budget of calls may be shared further.
type Connector struct {
	cfg    Config
	client *http.Client
	tokens *http.Client // the same connections, for token requests
	login  string       // origin, without a slash at its end
	api    string
	hosts  map[string]bool // host or host:port that a next link may name
	blobs  []string        // ends of hosts that an export file may lie at
}

var _ connector.Connector = (*Connector)(nil)

// New checks the configuration and makes a connector. It makes no network call.
func New(cfg Config) (*Connector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Connector{cfg: cfg, client: newClient(cfg), login: strings.TrimSuffix(cfg.LoginURL, "/"), api: strings.TrimSuffix(cfg.APIURL, "/")}
	c.tokens = &http.Client{Transport: wholeBody{c.client.Transport}, CheckRedirect: c.client.CheckRedirect}
	c.hosts = c.linkHosts()
	own, _ := cfg.Cloud.endpoints() // checked by withDefaults
	c.blobs = own.blobs
	if api, _ := url.Parse(c.api); retiring(canonicalHost(api)) { // checked by withDefaults
		cfg.Logger.Warn("the configured API host is an older name that is to retire; use the newer one", "host", api.Host, "newer", own.api)
	}
	return c, nil
}

// linkHosts are the configured API host, and the other names of its cloud's API if it is one of them.
func (c *Connector) linkHosts() map[string]bool {
	own, _ := url.Parse(c.api) // checked by withDefaults
	hosts := map[string]bool{canonicalHost(own): true}
	cloud, _ := c.cfg.Cloud.endpoints()
	for _, h := range cloud.hosts {
		if h == canonicalHost(own) {
			for _, h := range cloud.hosts {
				hosts[h] = true
			}
		}
	}
	return hosts
}

// Open prepares a source for credentials that passed [Connector.Shape].
func (c *Connector) Open(credentials connector.Credentials) connector.Source {
	return &source{conn: c, credentials: credentials, id: rand.Int64()}
}

// source is one directory opened with one application's credentials.
type source struct {
	conn        *Connector
	credentials connector.Credentials
	id          int64 // tells the budget of calls who calls
	tokens      tokens
	log         connector.PageLog // nil: pages are not kept
	usage       struct{ calls, pages, resumed, retries, malformed, files, lost, bytes atomic.Int64 }
	waits       waits
}

var _ connector.Source = (*source)(nil)

// Usage implements connector.Source.
func (s *source) Usage() connector.Usage {
	throttled, until := s.waits.sum()
	return connector.Usage{
		Calls: s.usage.calls.Load(), Pages: s.usage.pages.Load(), Resumed: s.usage.resumed.Load(), Retries: s.usage.retries.Load(),
		Throttled: throttled, Malformed: s.usage.malformed.Load(),
		Files: s.usage.files.Load(), Lost: s.usage.lost.Load(), Bytes: s.usage.bytes.Load(), WaitsUntil: until,
	}
}

// malformed counts records that were left out.
func (s *source) malformed(e Endpoint) func(records int) {
	return func(records int) {
		s.usage.malformed.Add(int64(records))
		s.conn.cfg.Observer.Malformed(e, records)
	}
}

// subject describes the source for diagnoses, with what the token in use claims.
func (s *source) subject(t token) subject {
	clear := s.credentials.Secret.Reveal()
	who := subject{
		clientID: s.credentials.ClientID, directoryID: s.credentials.DirectoryID, cloud: s.conn.cfg.Cloud, method: s.credentials.Method,
		secretIsGUID: isGUID(clear), rolesKnown: t.known, roles: t.claims.Roles,
	}
	if who.method == connector.MethodCertificate {
		if pair, err := readKeyPair(clear); err == nil { // an unreadable one is told as such by who signs in with it
			who.thumbprint = strings.TrimPrefix(pair.hint(), "…")
		}
	}
	if trust := s.tokens.trust.Load(); trust != nil {
		who.trust = *trust
	}
	return who
}
