package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// checkRequest says why the document forbids a request; nil if it does not.
func (d *document) checkRequest(x *exchange) error {
	if err := openapi3filter.ValidateRequest(x.request.Context(), d.input(x)); err != nil {
		return err
	}
	if err := errors.Join(strictQuery(x), strictCondition(x)); err != nil {
		return err
	}
	if x.route.Operation.RequestBody != nil && len(x.sent) > 0 {
		return strictJSON(x.sent)
	}
	return nil
}

// strictQuery adds what kin-openapi does not look at: parameters that are not documented or repeated without being lists, booleans that are
// not spelled out, and text that cannot be stored.
func strictQuery(x *exchange) error {
	query, err := url.ParseQuery(x.request.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, values := range query {
		p := queryParameter(x, name)
		if p == nil {
			return fmt.Errorf("query parameter %q is not documented", name)
		}
		schema := p.Schema.Value
		if len(values) > 1 && !schema.Type.Is(openapi3.TypeArray) {
			return fmt.Errorf("query parameter %q is repeated", name)
		}
		for _, v := range values {
			if schema.Type.Is(openapi3.TypeBoolean) && v != "true" && v != "false" {
				return fmt.Errorf("query parameter %q is neither true nor false", name)
			}
			if schema.Type.Is(openapi3.TypeInteger) && !decimal.MatchString(v) {
				return fmt.Errorf("query parameter %q is no integer", name)
			}
			if schema.Type.Is(openapi3.TypeNumber) && !number.MatchString(v) {
				return fmt.Errorf("query parameter %q is no number", name)
			}
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return fmt.Errorf("query parameter %q is not storable text", name)
			}
		}
	}
	return nil
}

// decimal and number are how JSON and the document's parameters write numbers; kin-openapi takes whatever Go does.
// strictCondition holds to what the document promises of If-Match: where it is no parameter of what writes, it is refused.
func strictCondition(x *exchange) error {
	reads := x.request.Method == http.MethodGet || x.request.Method == http.MethodHead
	if reads || len(x.request.Header.Values("If-Match")) == 0 || x.route.Operation.Parameters.GetByInAndName(openapi3.ParameterInHeader, "If-Match") != nil {
		return nil
	}
	return errors.New("the operation has no parameter If-Match")
}

var (
	decimal = regexp.MustCompile(`^-?[0-9]+$`)
	number  = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

func queryParameter(x *exchange, name string) *openapi3.Parameter {
	for _, list := range []openapi3.Parameters{x.route.Operation.Parameters, x.route.PathItem.Parameters} {
		if p := list.GetByInAndName(openapi3.ParameterInQuery, name); p != nil {
			return p
		}
	}
	return nil
}

// strictJSON checks the document's rules for bodies that neither a schema nor kin-openapi's decoder looks at: repeated members, trailing data and
// invalid UTF-8. Unknown members, null and faulty text are left to the schemas.
func strictJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := walkJSON(decoder); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("body has trailing data")
	}
	return nil
}

func walkJSON(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	names := map[json.Token]bool{}
	for decoder.More() {
		if open == '{' {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			if names[name] {
				return fmt.Errorf("member %q is repeated", name)
			}
			names[name] = true
		}
		if err := walkJSON(decoder); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}
