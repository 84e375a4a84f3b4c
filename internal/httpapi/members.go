package httpapi

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pgp.internal/defender/internal/fault"
)

// maxMemberErrors bounds how many members that do not fit are told at once.
const maxMemberErrors = 20

// readMembers reads a scanned body into v, or lists what is wrong with it: first the nulls, then members that do not fit,
// then values that break a rule. What was taken out for the former cannot break a rule, and must not be missed either.
func readMembers[T any](body jsontext.Value, nulls []jsontext.Pointer, v *T) (fields []fault.Field) {
	for _, at := range nulls[:min(len(nulls), maxMemberErrors)] {
		fields = append(fields, fault.Field{
			Pointer: pointerText(at), Code: "not_allowed", Detail: "Must not be null: give it a value, or leave it out",
		})
		// It is gone already if it shared a list with another one.
		if without, err := removeMember(body, slices.Collect(at.Tokens())); err == nil {
			body = without
		}
	}
	if len(nulls) > maxMemberErrors {
		return fields
	}
	rest, misfits, whole := unmarshal(body, v)
	fields = append(fields, misfits...)
	if !whole {
		return fields
	}
	known := fields
	for _, f := range append(validateTags(v, rest), emptySecrets(rest)...) {
		told := slices.ContainsFunc(fields, func(k fault.Field) bool { return k.Pointer == f.Pointer })
		if !told && !slices.ContainsFunc(known, func(k fault.Field) bool { return sameBranch(k.Pointer, f.Pointer) }) {
			fields = append(fields, f)
		}
	}
	return fields
}

// sameBranch tells whether one pointer leads to, or through, the place of the other.
func sameBranch(a, b string) bool {
	return strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}

// unmarshal reads a body into v and lists the members that do not fit: the decoder stops at the first, so each is taken
// out and the rest tried again. Whole tells whether v has all of the rest.
func unmarshal[T any](body jsontext.Value, v *T) (rest jsontext.Value, fields []fault.Field, whole bool) {
	for len(fields) < maxMemberErrors {
		var into T
		err := json.Unmarshal(body, &into, json.RejectUnknownMembers(true))
		if err == nil {
			*v = into
			return body, fields, true
		}
		fields = append(fields, memberError(err))
		var s *json.SemanticError
		if !errors.As(err, &s) || s.JSONPointer == "" {
			break
		}
		without, err := removeMember(body, slices.Collect(s.JSONPointer.Tokens()))
		if err != nil {
			break
		}
		body = without
	}
	return body, fields, false
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

// hasMember tells whether there is a member at the pointer; elements of lists are not looked for.
func hasMember(object jsontext.Value, at jsontext.Pointer) bool {
	_, has := memberAt(object, at)
	return has
}

func memberAt(object jsontext.Value, at jsontext.Pointer) (value jsontext.Value, has bool) {
	for name := range at.Tokens() {
		var members map[string]jsontext.Value
		if err := json.Unmarshal(object, &members); err != nil {
			return nil, false
		}
		if object, has = members[name]; !has {
			return nil, false
		}
	}
	return object, true
}

// emptySecrets finds secrets that were given and are empty; to the rules they are the same as those that were left out.
func emptySecrets(body jsontext.Value) (fields []fault.Field) {
	for _, at := range []jsontext.Pointer{"/client_secret", "/certificate", "/credentials/client_secret", "/credentials/certificate"} {
		if value, has := memberAt(body, at); has && string(value) == `""` {
			fields = append(fields, fault.Field{Pointer: string(at), Code: "too_short", Detail: notEmpty})
		}
	}
	return fields
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
