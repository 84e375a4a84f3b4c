package api_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers/legacy"

	defender "pgp.internal/defender"
	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/contract"
)

// exampleServer answers every operation with the document's own example of the least status it documents as a success, or of the status
// that the header X-Want names.
type exampleServer struct {
	doc  *openapi3.T
	mu   sync.Mutex
	last *http.Request
}

const requestID = "4f1c1f2e9a7b4d0c"

func startExampleServer(t *testing.T) (*exampleServer, *httptest.Server) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(defender.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	s := &exampleServer{doc: doc}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, _, err := router.FindRoute(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		s.mu.Lock()
		s.last = r
		s.mu.Unlock()
		status := cmp.Or(r.Header.Get("X-Want"), slices.Min(slices.Collect(maps.Keys(route.Operation.Responses.Map()))))
		answer(t, w, status, route.Operation.Responses.Value(status).Value)
	}))
	t.Cleanup(server.Close)
	return s, server
}

func (s *exampleServer) lastRequest() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func answer(t *testing.T, w http.ResponseWriter, status string, response *openapi3.Response) {
	code, err := strconv.Atoi(status)
	if err != nil {
		t.Error(err)
	}
	w.Header().Set("X-Request-Id", requestID)
	w.Header().Set("Cache-Control", "no-store")
	for name, header := range response.Headers {
		text, isText := header.Value.Example.(string)
		if !isText {
			text = strconv.FormatFloat(header.Value.Example.(float64), 'f', -1, 64)
		}
		w.Header().Set(name, text)
	}
	for mediaType, media := range response.Content {
		if mediaType == linesType { // for those who ask for it
			continue
		}
		w.Header().Set("Content-Type", mediaType)
		example := exampleOf(media)
		if members, ok := example.(map[string]any); ok {
			if _, tagged := members["etag"]; tagged {
				w.Header().Set("ETag", members["etag"].(string))
			}
			if code >= 400 {
				members = maps.Clone(members)
				members["request_id"] = requestID
				example = members
			}
		}
		w.WriteHeader(code)
		if page, ok := example.(string); ok {
			_, _ = w.Write([]byte(page))
		} else if err := json.NewEncoder(w).Encode(example); err != nil {
			t.Error(err)
		}
		return
	}
	w.WriteHeader(code)
}

const linesType = "application/x-ndjson"

// exampleOf returns the example, or the first one by name.
func exampleOf(media *openapi3.MediaType) any {
	if media.Example != nil {
		return media.Example
	}
	first := slices.Min(slices.Collect(maps.Keys(media.Examples)))
	return media.Examples[first].Value.Value
}

// checked returns a client whose traffic is held against the document.
func checked(t *testing.T, url string, opts ...contract.Option) *api.Client {
	t.Helper()
	transport := contract.New(t, opts...).Transport(nil)
	return api.New(url, "secret-key", api.WithHTTPClient(&http.Client{Transport: transport}))
}

// wanting asks the example server for one status.
func wanting(status int) api.RequestOption {
	return func(h http.Header) { h.Set("X-Want", strconv.Itoa(status)) }
}
