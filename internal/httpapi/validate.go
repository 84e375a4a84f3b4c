package httpapi

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// rules checks the validate tags of request types. It is read-only once made.
var rules = newRules()

func newRules() *validator.Validate {
	v := validator.New() // an object that is missing is told as the required members that it would have
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	for tag, rule := range map[string]validator.Func{"name": validName, "nocontrol": noControl} {
		if err := v.RegisterValidation(tag, rule); err != nil {
			panic(err)
		}
	}
	v.RegisterStructValidation(goesWithMethod, api.CredentialsInput{}, api.RotateSecretRequest{})
	return v
}

// goesWithMethod asks for what the method of sign-in needs, and refuses what belongs to another one.
func goesWithMethod(l validator.StructLevel) {
	var method *api.SignInMethod
	var secret, certificate api.Secret
	switch v := l.Current().Interface().(type) {
	case api.CredentialsInput:
		method, secret, certificate = v.Method, v.ClientSecret, v.Certificate
	case api.RotateSecretRequest:
		method, secret, certificate = v.Method, v.ClientSecret, v.Certificate
	}
	chosen := api.SignInClientSecret
	if method != nil {
		chosen = *method
	}
	if !slices.Contains([]api.SignInMethod{api.SignInClientSecret, api.SignInCertificate, api.SignInFederated}, chosen) {
		return // that is told of the method
	}
	for _, m := range []struct {
		method       api.SignInMethod
		value        api.Secret
		member, name string
	}{{api.SignInClientSecret, secret, "client_secret", "ClientSecret"}, {api.SignInCertificate, certificate, "certificate", "Certificate"}} {
		switch {
		case m.method == chosen && m.value == "":
			l.ReportError(m.value, m.member, m.name, "required", "")
		case m.method != chosen && m.value != "":
			l.ReportError(m.value, m.member, m.name, "excluded", "")
		}
	}
}

// noControl is the rule of labels, which are compared with what Microsoft gives and may hold whatever that holds.
func noControl(l validator.FieldLevel) bool {
	return !strings.ContainsFunc(l.Field().String(), func(r rune) bool { return r < ' ' || r == 0x7f })
}

func validName(l validator.FieldLevel) bool { return tenant.ValidName(l.Field().String()) }

// validateTags lists what is wrong with a decoded request. Of its body it takes what v does not know: whether a number
// that is 0 was given.
func validateTags(v any, body jsontext.Value) []fault.Field {
	var wrong validator.ValidationErrors
	if err := rules.Struct(v); err == nil {
		return nil
	} else if !errors.As(err, &wrong) {
		panic(err) // the tags of a request type are faulty
	}
	fields := make([]fault.Field, len(wrong))
	for i, w := range wrong {
		at := pointerOf(w.Namespace())
		code, detail := ruleText(w, rangeOf(reflect.TypeOf(v), w), hasMember(body, jsontext.Pointer(at)))
		fields[i] = fault.Field{Pointer: at, Code: code, Detail: detail}
	}
	return fields
}

// pointerOf turns the library's Request.settings.ip_deny[3] into /settings/ip_deny/3.
func pointerOf(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// rangeOf gives both bounds of a number, as far as the field's tag has them; empty for what is no number.
func rangeOf(t reflect.Type, w validator.FieldError) string {
	var tag string
	_, path, _ := strings.Cut(w.StructNamespace(), ".")
	for name := range strings.SplitSeq(path, ".") {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		name, _, _ = strings.Cut(name, "[")
		f, ok := t.FieldByName(name)
		if !ok {
			return ""
		}
		t, tag = f.Type, f.Tag.Get("validate")
	}
	var least, most string
	for rule := range strings.SplitSeq(tag, ",") {
		if bound, ok := strings.CutPrefix(rule, "min="); ok {
			least = bound
		} else if bound, ok := strings.CutPrefix(rule, "max="); ok {
			most = bound
		}
	}
	if w.Kind() != reflect.Int || least == "" || most == "" {
		return ""
	}
	return "from " + least + " to " + most
}

const notEmpty = "Must not be empty"

// ruleText says in words what a tag asks for. Within is the range of a number, if it has one; given tells that the member
// is there.
func ruleText(w validator.FieldError, within string, given bool) (code, detail string) {
	switch w.Tag() {
	case "required":
		if within != "" && given { // to the library a number that is 0 is one that is missing
			return "too_small", "Must be " + within
		}
		if within != "" {
			return "required", "Must be given, " + within
		}
		return "required", "Must be given"
	case "excluded":
		return "not_allowed", "Does not go with this method"
	case "oneof":
		return "not_allowed", "Must be one of " + strings.ReplaceAll(w.Param(), " ", ", ")
	case "min":
		return boundText(w, within, "at least", "too_short", "too_few", "too_small")
	case "max":
		return boundText(w, within, "at most", "too_long", "too_many", "too_large")
	case "ip|cidr":
		return "invalid_format", "Must be an address or a prefix such as 172.30.0.0/16"
	case "nocontrol":
		return "invalid_format", "Must not contain control characters"
	case "name":
		return "invalid_format", "Must have a character that can be seen, and none that is invisible or sets the direction of writing"
	}
	return "invalid_format", "Must have the documented form"
}

func boundText(w validator.FieldError, within, side, ofText, ofList, ofNumber string) (code, detail string) {
	empty := w.Tag() == "min" && w.Param() == "1"
	switch w.Kind() {
	case reflect.String:
		if empty {
			return ofText, notEmpty
		}
		return ofText, "Must have " + side + " " + w.Param() + " characters"
	case reflect.Slice:
		if empty {
			return ofList, notEmpty
		}
		return ofList, "Must have " + side + " " + w.Param() + " items"
	}
	if within != "" {
		return ofNumber, "Must be " + within
	}
	return ofNumber, "Must be " + side + " " + w.Param()
}
