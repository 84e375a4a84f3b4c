package audit

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Redacted stands for a value that must not be shown, or that is not known to be harmless.
const Redacted = "[redacted]"

// Diff adds the field to changes if its value differs. What is shown is decided by type alone: text, whole numbers, truth values
// and times are; anything else, so also the types of secrets and of sealed boxes, reads Redacted.
func Diff(changes []Change, field string, before, after any) []Change {
	if reflect.DeepEqual(before, after) {
		return changes
	}
	return append(changes, Change{Field: field, Before: shown(before), After: shown(after)})
}

func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	case fmt.Formatter: // the way of secrets to hide themselves
		return Redacted
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.String:
		return r.String()
	case reflect.Bool:
		return strconv.FormatBool(r.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(r.Int(), 10)
	default:
		if isEmpty(r) {
			return ""
		}
		return Redacted
	}
}

func isEmpty(r reflect.Value) bool {
	return (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.Len() == 0
}
