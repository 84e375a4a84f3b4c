package defender_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
)

var toldTheirs = regexp.MustCompile(`Microsoft (?:request|correlation) id [0-9a-f-]{36}`)

// TestEveryFailureNamesItsRequest covers damaged answers, refusals and bodies that break off: the last request of the kind is the one
// that the failure is about.
func TestEveryFailureNamesItsRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  defendersim.Fault
		theirs bool
	}{
		"damaged answer":         {defendersim.Fault{Route: "machines", Body: "garbage"}, true},
		"answer that breaks off": {defendersim.Fault{Route: "machines", TruncateAfter: 20}, true},
		"refusal":                {defendersim.Fault{Route: "machines", Status: 400}, true},
		"page of a gateway":      {defendersim.Fault{Route: "machines", Status: 502, Body: "html"}, false},
		"link to elsewhere":      {defendersim.Fault{Route: "software_vulnerabilities", LinkBase: "https://elsewhere.example"}, true},
		"damaged token":          {defendersim.Fault{Route: "token", Status: 200, Body: "garbage"}, true},
		"token never came":       {defendersim.Fault{Route: "token", TruncateAfter: 5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, nil)
			if _, err := s.AddFault(tc.fault); err != nil {
				t.Fatal(err)
			}
			err := readAll(s.open(), connector.ViaPages)
			detail := fault.As(err).Detail
			sent := s.idsOf(tc.fault.Route)
			if len(sent) == 0 || !strings.Contains(detail, sent[len(sent)-1]) {
				t.Errorf("%q does not name the last request of %v", detail, sent)
			}
			if theirs := toldTheirs.MatchString(detail); theirs != tc.theirs {
				t.Errorf("%q: an id of Microsoft's is told: %v", detail, theirs)
			}
		})
	}
}

func readAll(source connector.Source, via connector.Via) error {
	if err := source.Machines(context.Background(), time.Time{}, func([]inventory.Machine) error { return nil }); err != nil {
		return err
	}
	return source.Rows(context.Background(), via, func([]inventory.Row) error { return nil })
}

// idsOf are the client's ids of the requests on a route, in their order.
func (s simulation) idsOf(route string) (ids []string) {
	for _, e := range s.Journal(0) {
		if e.Route == route {
			ids = append(ids, e.RequestID)
		}
	}
	return ids
}

func TestEachRequestHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	s := simulate(t, files(2))
	if _, err := s.AddFault(defendersim.Fault{Route: "machines", Status: 503, Times: 2}); err != nil {
		t.Fatal(err)
	}
	if err := readAll(s.open(), connector.ViaFiles); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range s.Journal(0) {
		if uuid.Validate(e.RequestID) != nil || seen[e.RequestID] {
			t.Errorf("%s was asked for with the id %q", e.Route, e.RequestID)
		}
		seen[e.RequestID] = true
	}
	if len(seen) < 7 {
		t.Errorf("%d requests", len(seen))
	}
}

// TestRequestsThatNeverLeftAreNotNamed: their ids are in nobody's records.
func TestRequestsThatNeverLeftAreNotNamed(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := defender.New(defender.Config{LoginURL: gone.URL, APIURL: gone.URL, AllowInsecure: true, Budget: defender.Unlimited{},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	err = readAll(c.Open(connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Secret: seal.NewSecret(simSecret)}), connector.ViaPages)
	if detail := fault.As(err).Detail; !fault.Is(err, fault.CodeUpstreamUnavailable) || strings.Contains(strings.ToLower(detail), "request id") {
		t.Errorf("%q names a request that never left", detail)
	}
}
