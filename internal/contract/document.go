package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	defender "pgp.internal/defender"
)

// document is a copy of openapi.yaml in which objects are closed: what it does not name is not allowed. The published document leaves them
// open, because clients must tolerate additions.
type document struct {
	spec            *openapi3.T
	router          routers.Router
	requestFormats  []openapi3.SchemaValidationOption
	responseFormats []openapi3.SchemaValidationOption
}

func loadTightened() (*document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(defender.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("load openapi.yaml: %w", err)
	}
	spec.Servers = nil // tests serve it from anywhere
	tighten(spec)
	if err := spec.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml with closed objects: %w", err)
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", decodeLines)
	router, err := legacy.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("route openapi.yaml: %w", err)
	}
	return &document{
		spec: spec, router: router,
		requestFormats:  formats(anyOffset),
		responseFormats: formats(utcOnly),
	}, nil
}

// each calls f for every operation.
func (d *document) each(f func(method, path string, op *openapi3.Operation)) {
	for path, item := range d.spec.Paths.Map() {
		for method, op := range item.Operations() {
			f(method, path, op)
		}
	}
}

func tighten(spec *openapi3.T) {
	seen := map[*openapi3.Schema]bool{}
	for _, ref := range spec.Components.Schemas {
		closeObjects(ref, seen)
	}
	for _, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody != nil {
				closeContent(op.RequestBody.Value.Content, seen)
			}
			for _, response := range op.Responses.Map() {
				closeContent(response.Value.Content, seen)
			}
		}
	}
}

func closeContent(content openapi3.Content, seen map[*openapi3.Schema]bool) {
	for _, media := range content {
		closeObjects(media.Schema, seen)
	}
}

func closeObjects(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	s := ref.Value
	seen[s] = true
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		s.AdditionalProperties.Has = new(false)
	}
	for _, property := range s.Properties {
		closeObjects(property, seen)
	}
	closeObjects(s.Items, seen)
	closeObjects(s.AdditionalProperties.Schema, seen)
}

func (d *document) input(x *exchange) *openapi3filter.RequestValidationInput {
	return &openapi3filter.RequestValidationInput{
		Request:    withBody(x.request, x.sent),
		PathParams: x.params,
		Route:      x.route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:      hasBearer,
			SkipSettingDefaults:     true,
			SchemaValidationOptions: d.requestFormats,
		},
	}
}

func hasBearer(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	scheme, token, _ := strings.Cut(in.RequestValidationInput.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return errors.New("no bearer token")
	}
	return nil
}

// matchComponent checks JSON against a schema of the components.
func (d *document) matchComponent(name string, data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return d.spec.Components.Schemas[name].Value.VisitJSON(value, slices.Concat(d.responseFormats, []openapi3.SchemaValidationOption{openapi3.VisitAsResponse()})...)
}

// isHTML tells whether the documented answer is a page; kin-openapi has no decoder for one.
func (d *document) isHTML(route *routers.Route, status int) bool {
	ref := route.Operation.Responses.Status(status)
	return ref != nil && ref.Value.Content["text/html"] != nil
}

// checkStatus covers what kin-openapi waves through: redirects and 304, whether documented or not.
func (d *document) checkStatus(x *exchange) error {
	if x.route.Operation.Responses.Status(x.status) == nil {
		return errors.New("this status is not documented")
	}
	if x.status == http.StatusNotModified && x.header.Get("ETag") == "" {
		return errors.New("304 without ETag")
	}
	return nil
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// formats are the checks behind `format`, most of which kin-openapi ignores unless told.
func formats(dateTime func(string) error) []openapi3.SchemaValidationOption {
	validators := map[string]openapi3.StringFormatValidator{}
	for name, check := range map[string]func(string) error{
		"date-time":     dateTime,
		"date":          func(s string) error { _, err := time.Parse(time.DateOnly, s); return err },
		"uuid":          isUUID,
		"ip":            isIP,
		"ip-prefix":     isPrefix,
		"uri":           isURI,
		"uri-reference": func(s string) error { _, err := url.Parse(s); return err },
		"password":      func(string) error { return nil },
	} {
		validators[name] = openapi3.NewCallbackValidator(check)
	}
	return []openapi3.SchemaValidationOption{openapi3.WithStringFormatValidators(validators)}
}

func anyOffset(s string) error {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err
}

func utcOnly(s string) error {
	if !strings.HasSuffix(s, "Z") {
		return errors.New("not in UTC with a Z")
	}
	return anyOffset(s)
}

func isUUID(s string) error {
	if !uuidPattern.MatchString(s) {
		return errors.New("not a UUID")
	}
	return nil
}

func isIP(s string) error {
	addr, err := netip.ParseAddr(s)
	if err == nil && addr.Zone() != "" {
		return errors.New("an address with a zone")
	}
	return err
}

// isPrefix also takes an address for the prefix of itself. IPv4 is written as IPv4.
func isPrefix(s string) error {
	prefix, err := netip.ParsePrefix(s)
	if addr, failed := netip.ParseAddr(s); failed == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err == nil && prefix.Addr().Is4In6() {
		return errors.New("IPv4 mapped into IPv6")
	}
	return err
}

func isURI(s string) error {
	u, err := url.Parse(s)
	if err == nil && !u.IsAbs() {
		return errors.New("not absolute")
	}
	return err
}

// decodeLines reads one JSON document a line into a list, which is how the document describes such an answer. That the
// last one, and no other, counts the rest is what no schema can say.
func decodeLines(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	list := []any{}
	d := json.NewDecoder(body)
	for {
		var item any
		if err := d.Decode(&item); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	for i, item := range list {
		members, _ := item.(map[string]any)
		if _, end := members["_end"]; end != (i == len(list)-1) || end && members["count"] != float64(i) {
			return nil, fmt.Errorf("line %d of %d: %v", i+1, len(list), item)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the last line is missing")
	}
	return list, nil
}
