package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pgp.internal/defender/internal/fault"
)

// maxDepth is how deep objects and arrays may be nested.
const maxDepth = 32

const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
)

// decode reads a JSON body strictly into v and checks it against its validate tags.
func decode[T any](r *http.Request, v *T, mediaTypes ...string) error {
	if len(mediaTypes) == 0 {
		mediaTypes = []string{mediaJSON}
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(body) == 0 && r.Header.Get("Content-Type") == "" {
		return fault.New(fault.CodeInvalidJSON, "A JSON body is required.")
	}
	return decodeBody(r, body, v, mediaTypes)
}

// decodeOptional is [decode] for operations that have a meaning without a body.
func decodeOptional[T any](r *http.Request, v *T) error {
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	return decodeBody(r, body, v, []string{mediaJSON})
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errBodyTooLarge()
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeInvalidRequest, "the body could not be read to its end")
	}
	return body, nil
}

func decodeBody[T any](r *http.Request, body []byte, v *T, mediaTypes []string) error {
	if err := checkMediaType(r, mediaTypes); err != nil {
		return err
	}
	if err := scan(body); err != nil {
		return err
	}
	if fields := unmarshal(body, v); len(fields) > 0 {
		return invalid(fields...)
	}
	if fields := validateTags(v); len(fields) > 0 {
		return invalid(fields...)
	}
	return nil
}

// maxMemberErrors bounds how many members that do not fit are told at once.
const maxMemberErrors = 20

// unmarshal reads a scanned body into v, or lists the members that do not fit: the decoder stops at the first, so each is
// taken out and the rest tried again.
func unmarshal[T any](body []byte, v *T) (fields []fault.Field) {
	for len(fields) < maxMemberErrors {
		var into T
		err := json.Unmarshal(body, &into, json.RejectUnknownMembers(true))
		if err == nil {
			if len(fields) == 0 {
				*v = into
			}
			return fields
		}
		fields = append(fields, memberError(err))
		var s *json.SemanticError
		if !errors.As(err, &s) || s.JSONPointer == "" {
			return fields
		}
		without, err := removeMember(body, slices.Collect(s.JSONPointer.Tokens()))
		if err != nil {
			return fields
		}
		body = without
	}
	return fields
}

// removeMember takes the member at the path out of an object; an element of a list takes the whole list with it.
func removeMember(object jsontext.Value, path []string) (jsontext.Value, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	inner, ok := members[path[0]]
	if !ok {
		return nil, fmt.Errorf("there is no member %q", path[0])
	}
	if len(path) == 1 || inner.Kind() != '{' {
		delete(members, path[0])
	} else {
		rest, err := removeMember(inner, path[1:])
		if err != nil {
			return nil, err
		}
		members[path[0]] = rest
	}
	return json.Marshal(members, json.Deterministic(true))
}

func checkMediaType(r *http.Request, allowed []string) error {
	got, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	encoded := r.Header.Get("Content-Encoding")
	if err != nil || !slices.Contains(allowed, got) || charset != "" && !strings.EqualFold(charset, "utf-8") || encoded != "" && encoded != "identity" {
		return fault.Newf(fault.CodeUnsupportedMedia, "Send %s in UTF-8 without content encoding.", strings.Join(allowed, " or "))
	}
	return nil
}

// scan reads a body token by token before any of it is taken: exactly one object, no member twice, valid UTF-8, and none
// of what the contract refuses wherever it stands.
func scan(body []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if kind := d.PeekKind(); kind != '{' && kind != 0 && kind != jsontext.KindInvalid {
		return invalidJSON("", "wrong_type", "Must be an object")
	}
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) && d.InputOffset() > 0 && d.StackDepth() == 0 {
			break
		}
		if err != nil {
			return syntaxError(err)
		}
		at := pointerText(d.StackPointer())
		switch {
		case d.StackDepth() > maxDepth:
			return invalidJSON("", "too_large", fmt.Sprintf("Must not be nested deeper than %d levels", maxDepth))
		case t.Kind() == 'n':
			return invalidJSON(at, "not_allowed", "Must not be null; leave it out instead")
		case t.Kind() == '"' && strings.ContainsRune(t.String(), 0):
			return invalidJSON(at, "invalid_format", "Must not contain the NUL character")
		}
		if d.StackDepth() == 0 {
			return trailing(d)
		}
	}
	return nil
}

// trailing refuses anything but white space behind the object.
func trailing(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidJSON("", "invalid_format", "Must be a single JSON object with nothing behind it")
	}
	return nil
}

func syntaxError(err error) error {
	var s *jsontext.SyntacticError
	at := ""
	if errors.As(err, &s) {
		at = pointerText(s.JSONPointer)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalidJSON(at, "repeated", "Must not be repeated")
	}
	return invalidJSON(at, "invalid_format", "Must be JSON in UTF-8")
}

func invalidJSON(pointer, code, detail string) error {
	f := fault.New(fault.CodeInvalidJSON, "The body is not acceptable JSON.")
	f.Fields = []fault.Field{{Pointer: pointer, Code: code, Detail: detail}}
	return f
}

// pointerText bounds a pointer, since its parts are names that the caller made up.
func pointerText(p jsontext.Pointer) string {
	parts := strings.Split(string(p), "/")
	for i := range parts {
		parts[i] = printable(parts[i])
	}
	if len(parts) > maxDepth {
		parts = parts[:maxDepth]
	}
	return strings.Join(parts, "/")
}

// memberError says which member does not fit; the value itself is never told, since it may be a secret.
func memberError(err error) fault.Field {
	var s *json.SemanticError
	if !errors.As(err, &s) {
		return fault.Field{Code: "invalid_format", Detail: "Must be JSON in UTF-8"}
	}
	at := pointerText(s.JSONPointer)
	if errors.Is(s.Err, json.ErrUnknownName) {
		return fault.Field{Pointer: at, Code: "unknown_field", Detail: "There is no such member"}
	}
	if s.GoType == reflect.TypeFor[time.Time]() {
		return fault.Field{Pointer: at, Code: "invalid_format", Detail: "Must be a time as in RFC 3339, such as 2026-11-01T00:00:00Z"}
	}
	return fault.Field{Pointer: at, Code: "wrong_type", Detail: "Must be " + kindText(s.GoType)}
}

func kindText(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}
