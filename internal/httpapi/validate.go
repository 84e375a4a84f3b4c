package httpapi

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"pgp.internal/defender/internal/fault"
)

// rules checks the validate tags of request types. It is read-only once made.
var rules = newRules()

func newRules() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	if err := v.RegisterValidation("nocontrol", noControl); err != nil {
		panic(err)
	}
	return v
}

func noControl(l validator.FieldLevel) bool {
	return !strings.ContainsFunc(l.Field().String(), func(r rune) bool { return r < ' ' || r == 0x7f })
}

// validateTags lists what is wrong with a decoded request.
func validateTags(v any) []fault.Field {
	var wrong validator.ValidationErrors
	if err := rules.Struct(v); err == nil {
		return nil
	} else if !errors.As(err, &wrong) {
		panic(err) // the tags of a request type are faulty
	}
	fields := make([]fault.Field, len(wrong))
	for i, w := range wrong {
		code, detail := ruleText(w)
		fields[i] = fault.Field{Pointer: pointerOf(w.Namespace()), Code: code, Detail: detail}
	}
	return fields
}

// pointerOf turns the library's Request.settings.ip_deny[3] into /settings/ip_deny/3.
func pointerOf(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// ruleText says in words what a tag asks for.
func ruleText(w validator.FieldError) (code, detail string) {
	switch w.Tag() {
	case "required":
		return "required", "Must be given"
	case "oneof":
		return "not_allowed", "Must be one of " + strings.ReplaceAll(w.Param(), " ", ", ")
	case "min":
		return boundText(w.Kind(), w.Param(), "at least", "too_short", "too_few", "too_small")
	case "max":
		return boundText(w.Kind(), w.Param(), "at most", "too_long", "too_many", "too_large")
	case "ip|cidr":
		return "invalid_format", "Must be an address or a prefix such as 172.30.0.0/16"
	case "nocontrol":
		return "invalid_format", "Must not contain control characters"
	}
	return "invalid_format", "Must have the documented form"
}

func boundText(kind reflect.Kind, bound, side, ofText, ofList, ofNumber string) (code, detail string) {
	switch kind {
	case reflect.String:
		return ofText, "Must have " + side + " " + bound + " characters"
	case reflect.Slice:
		return ofList, "Must have " + side + " " + bound + " items"
	}
	return ofNumber, "Must be " + side + " " + bound
}
