package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	defenderspec "pgp.internal/defender"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// bare is a server whose dependencies are never asked.
func bare() *server {
	return newServer(Deps{
		Integrations: struct{ Integrations }{}, Runs: struct{ RunStore }{}, Assets: struct{ AssetReader }{}, Findings: struct{ FindingReader }{},
		Vulnerabilities: struct{ VulnerabilityReader }{}, Tenants: struct{ TenantReader }{}, Keys: struct{ KeyStore }{}, Tokens: identity.NoIssuer{}, Audit: struct{ AuditTrail }{}, Platform: struct{ TenantStore }{}, Repeats: struct{ RepeatStore }{},
		Explain: func(syncer.Run, connector.Integration, tenant.Entitlement, time.Time) []syncer.Notice { return nil },
		Wake:    func() {}, Now: time.Now, CursorKey: make([]byte, 32), OpenAPI: defenderspec.OpenAPI, Log: slog.New(slog.DiscardHandler), Meter: uncounted{},
	})
}

// assetsOfDocs is the one route that no contract has to name: the files that the page /docs loads.
const assetsOfDocs = "GET /docs/{file}"

func TestRoutesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(defenderspec.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	err = chi.Walk(bare().mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead { // the contract's introduction has it for every GET
			served = append(served, method+" "+route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range documented {
		if !slices.Contains(served, route) {
			t.Errorf("%s is documented and not served", route)
		}
	}
	for _, route := range served {
		if !slices.Contains(documented, route) && route != assetsOfDocs {
			t.Errorf("%s is served and not documented", route)
		}
	}
}

func TestEveryEndpointDeclaresTheParametersOfTheContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(defenderspec.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]endpoint{}
	s := bare()
	s.mux = chi.NewMux()
	s.routes(&router{mux: s.mux, server: s, declared: func(method, pattern string, e endpoint) { declared[method+" "+pattern] = e }})
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			var names []string
			for _, p := range slices.Concat(item.Parameters, o.Parameters) {
				if p.Value.In == openapi3.ParameterInQuery {
					names = append(names, p.Value.Name)
				}
			}
			e := declared[method+" "+path]
			named := slices.Concat(item.Parameters, o.Parameters).GetByInAndName(openapi3.ParameterInHeader, "Idempotency-Key") != nil
			if (e.again != nil) != named {
				t.Errorf("%s %s knows an Idempotency-Key: %v, by the contract: %v", method, path, e.again != nil, named)
			}
			if named := slices.Concat(item.Parameters, o.Parameters).GetByInAndName(openapi3.ParameterInHeader, "If-Match") != nil; e.matches != named {
				t.Errorf("%s %s heeds If-Match: %v, by the contract: %v", method, path, e.matches, named)
			}
			slices.Sort(names)
			if got := slices.Sorted(slices.Values(e.params)); !slices.Equal(got, names) {
				t.Errorf("%s %s knows %v, the contract %v", method, path, got, names)
			}
			if role, _ := o.Extensions["x-required-role"].(string); e.role != tenant.Role(role) {
				t.Errorf("%s %s needs %q, the contract says %q", method, path, e.role, role)
			}
		}
	}
}

func TestARouteWithoutARolePanics(t *testing.T) {
	t.Parallel()
	serves := func(http.ResponseWriter, *http.Request) error { return nil }
	for name, e := range map[string]endpoint{
		"no role": {handle: serves}, "unknown role": {handle: serves, role: "owner"}, "no handler": {role: tenant.Admin},
		"open and not": {handle: serves, role: tenant.Admin, public: true},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: registered", name)
				}
			}()
			(&router{mux: chi.NewMux(), server: bare()}).Get("/x", e)
		}()
	}
}

func TestEveryKindOfFailureHasAStatus(t *testing.T) {
	t.Parallel()
	for _, d := range fault.Definitions() {
		if status := statusOf[d.Kind]; status < 400 || status > 599 {
			t.Errorf("%s has status %d", d.Code, status)
		}
	}
}

func TestMissingDependenciesPanic(t *testing.T) {
	t.Parallel()
	whole := bare().Deps
	for name, spoil := range map[string]func(*Deps){
		"clock": func(d *Deps) { d.Now = nil }, "store": func(d *Deps) { d.Assets = nil }, "short key": func(d *Deps) { d.CursorKey = make([]byte, 31) },
		"contract": func(d *Deps) { d.OpenAPI = []byte("{") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			d := whole
			spoil(&d)
			New(d)
		}()
	}
}

func TestReadinessDoesNotWaitForASlowCheck(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stuck := make(chan struct{})
	defer close(stuck)
	if err := await(ctx, func(context.Context) error { <-stuck; return nil }); err == nil {
		t.Fatal("ready although the check never answered")
	}
}
