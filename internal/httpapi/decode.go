package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

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
	nulls, err := scan(body)
	if err != nil {
		return err
	}
	if fields := readMembers(body, nulls, v); len(fields) > 0 {
		return invalid(fields...)
	}
	return nil
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
// of what the contract refuses wherever it stands. Nulls are JSON, but no value of any member; it tells where they are.
func scan(body []byte) (nulls []jsontext.Pointer, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if kind := d.PeekKind(); kind != '{' && kind != 0 && kind != jsontext.KindInvalid {
		return nil, invalidJSON("", "wrong_type", "Must be an object")
	}
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) && d.InputOffset() > 0 && d.StackDepth() == 0 {
			break
		}
		if err != nil {
			return nil, syntaxError(err)
		}
		switch {
		case d.StackDepth() > maxDepth:
			return nil, invalidJSON("", "too_large", fmt.Sprintf("Must not be nested deeper than %d levels", maxDepth))
		case t.Kind() == 'n':
			nulls = append(nulls, d.StackPointer())
		case t.Kind() == '"' && strings.ContainsRune(t.String(), 0):
			return nil, invalidJSON(pointerText(d.StackPointer()), "invalid_format", "Must not contain the NUL character")
		}
		if d.StackDepth() == 0 {
			return nulls, trailing(d)
		}
	}
	return nulls, nil
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
