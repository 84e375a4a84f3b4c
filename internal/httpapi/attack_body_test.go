package httpapi_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// spoilText breaks the body as JSON.
func (r *draft) spoilText() bool {
	b := r.body
	if !strings.HasSuffix(b, "}") || len(b) < 3 {
		return false
	}
	inside, first := b[1:len(b)-1], strings.SplitN(b[1:], ":", 2)[0]
	r.body = oneOf(r.dice, b[:len(b)-1], b[:1+r.IntN(len(b)-1)], b+"{}", b+"x", b+"\x00", "\ufeff"+b, "["+b+"]", "[]", `"x"`, "null", "1", "true", " ", "{,"+inside+"}", "{"+inside+",}", "{"+inside+"/**/}",
		"{"+inside+","+inside+"}", "{"+inside+",\"zz\":\"\xff\"}", "{"+inside+",\"zz\":\"a\\u0000b\"}", "{"+inside+",\"zz\":\"a\x00b\"}", "{"+first+":1,"+inside+"}",
		"{"+inside+`,"zz":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+"}", strings.Repeat(`{"a":`, 5000), "{"+inside+`,"zz":01}`, "{"+inside+`,"zz":+1}`, "{"+inside+`,zz:1}`, "{"+inside+`,'zz':1}`, "{"+inside+`,"zz":NaN}`, "a=b")
	r.flaw("body")
	return true
}

// spoilMember gives one member a value that it cannot have, leaves out one that is needed, or adds one that does not exist.
func (r *draft) spoilMember() bool {
	object, ok := r.value.(map[string]any)
	if !ok {
		return false
	}
	copied := map[string]any{}
	decodeInto(encoded(object), &copied)
	if !r.spoilObject(copied, r.target.body) {
		return false
	}
	r.body = encoded(copied)
	r.flaw("body")
	return true
}

func (r *draft) spoilObject(object map[string]any, s *openapi3.Schema) bool {
	if len(s.Required) > 0 && r.in(15) {
		delete(object, oneOf(r.dice, s.Required...))
		return true
	}
	names := sortedNames(s.Properties)
	name := oneOf(r.dice, names...)
	if r.in(20) {
		unknown := oneOf(r.dice, "id", "tenant_id", "state", "version", "created_at", "Name", name+" ", strings.ToUpper(name), "__proto__", "", "etag", "role_", "key_version", strings.Repeat("n", 300))
		if slices.Contains(names, unknown) {
			return false
		}
		object[unknown] = oneOf[any](r.dice, "x", 1, true, r.foreign.tenant)
		return true
	}
	member := s.Properties[name].Value
	if inner, ok := object[name].(map[string]any); ok && r.in(70) {
		return r.spoilObject(inner, member)
	}
	object[name] = oneOf(r.dice, r.badMember(member)...)
	return true
}

// badMember are values that a member cannot have.
func (r *draft) badMember(s *openapi3.Schema) []any {
	bad := []any{nil, []any{[]any{}}, map[string]any{"x": nil}}
	if s.Type.Is(openapi3.TypeString) {
		bad = append(bad, 7, true, 1e300)
		for _, text := range r.badTexts(s) {
			bad = append(bad, text)
		}
		return keepBad(s, bad)
	}
	bad = append(bad, "x", "true", "1")
	if s.Type.Is(openapi3.TypeInteger) {
		bad = append(bad, json.RawMessage("1.5"), json.RawMessage("1e400"), json.RawMessage("99999999999999999999"), json.RawMessage("-0.5"))
		if s.Min != nil {
			bad = append(bad, *s.Min-1, exactly(*s.Min-1))
		}
		if s.Max != nil {
			bad = append(bad, *s.Max+1)
		}
	}
	if s.Type.Is(openapi3.TypeArray) {
		bad = append(bad, "", []any{nil}, []any{7})
		if s.MaxItems != nil {
			bad = append(bad, slices.Repeat([]any{r.soundValue(s.Items.Value, "")}, int(*s.MaxItems)+1))
		}
		if s.MinItems > 0 {
			bad = append(bad, []any{})
		}
	}
	return bad
}

// keepBad drops texts that the schema allows after all, where it says so without a format.
func keepBad(s *openapi3.Schema, values []any) []any {
	return slices.DeleteFunc(values, func(v any) bool {
		text, ok := v.(string)
		return ok && (s.Format == "" || s.Format == "password") && s.VisitJSON(text) == nil
	})
}

func exactly(v float64) json.RawMessage { return json.RawMessage(strconv.FormatFloat(v, 'f', -1, 64)) }
