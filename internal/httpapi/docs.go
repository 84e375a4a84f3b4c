package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/oasdiff/yaml"
	"github.com/swaggest/swgui/v5emb"

	"pgp.internal/defender/internal/fault"
)

// documents is the contract in the forms in which it is served.
type documents struct {
	json          []byte
	connectSchema map[string]any // JSON Schema of the body that connects an integration
	ui            http.Handler
	policy        string // Content-Security-Policy of the page
	retired       map[string]retirement
}

// newDocuments converts the contract once. It panics if that fails: the contract is compiled in.
func newDocuments(contract []byte) documents {
	asJSON, err := yaml.YAMLToJSON(contract)
	if err != nil {
		panic("httpapi: the contract cannot be read: " + err.Error())
	}
	var doc struct {
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		panic("httpapi: the contract cannot be read: " + err.Error())
	}
	schema, ok := resolve(doc.Components.Schemas["ConnectRequest"], doc.Components.Schemas).(map[string]any)
	if !ok {
		panic("httpapi: the contract has no schema ConnectRequest")
	}
	ui := v5emb.New("PGP integration for Microsoft Defender for Endpoint", "/openapi.json", "/docs/")
	return documents{json: asJSON, connectSchema: schema, ui: ui, policy: contentPolicy(ui), retired: retirements(asJSON)}
}

// resolve replaces references to other schemas by these, so that the result stands alone.
func resolve(node any, schemas map[string]any) any {
	switch n := node.(type) {
	case map[string]any:
		if ref, ok := n["$ref"].(string); ok {
			return resolve(schemas[strings.TrimPrefix(ref, "#/components/schemas/")], schemas)
		}
		out := make(map[string]any, len(n))
		for key, value := range n {
			out[key] = resolve(value, schemas)
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i, value := range n {
			out[i] = resolve(value, schemas)
		}
		return out
	}
	return node
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// contentPolicy allows the page its own files and, by their hashes, the scripts written into it. Styles have to be
// allowed inline, because Swagger UI sets them by attributes.
func contentPolicy(ui http.Handler) string {
	rendered := rendering{header: http.Header{}}
	ui.ServeHTTP(&rendered, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs/"}, Header: http.Header{}})
	scripts := "'self'"
	for _, match := range inlineScript.FindAllStringSubmatch(rendered.String(), -1) {
		sum := sha256.Sum256([]byte(match[1]))
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'self'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// rendering collects a page that is rendered at start.
type rendering struct {
	bytes.Buffer
	header http.Header
}

func (r *rendering) Header() http.Header { return r.header }
func (r *rendering) WriteHeader(int)     {}

func (s *server) getDocs(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", s.docs.policy)
	s.docs.ui.ServeHTTP(w, r)
	return nil
}

// docsFiles are the files that the page loads.
var docsFiles = map[string]bool{
	"swagger-ui.css": true, "swagger-ui-bundle.js": true, "swagger-ui-standalone-preset.js": true, "favicon-16x16.png": true, "favicon-32x32.png": true,
}

func (s *server) getDocsFile(w http.ResponseWriter, r *http.Request) error {
	if name := strings.TrimPrefix(r.URL.Path, "/docs/"); !docsFiles[name] {
		return fault.New(fault.CodeNotFound, "there is no such file")
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	s.docs.ui.ServeHTTP(w, r)
	return nil
}
