package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// constants reads the package's own source: the string constants by their type, those of no type by the prefix "Code" under "".
func constants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				addConstant(found, spec)
			}
			return true
		})
	}
	return found
}

func addConstant(found map[string][]string, spec *ast.ValueSpec) {
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return // no string literal that the compiler accepts
	}
	if named, ok := spec.Type.(*ast.Ident); ok {
		found[named.Name] = append(found[named.Name], text)
	} else if strings.HasPrefix(spec.Names[0].Name, "Code") {
		found[""] = append(found[""], text)
	}
}

func TestConstantsAreTheEnumerations(t *testing.T) {
	t.Parallel()
	declared := constants(t)
	for name, ref := range document(t).Components.Schemas {
		if len(ref.Value.Enum) == 0 {
			continue
		}
		sameSet(t, name, declared[name], ref.Value.Enum)
	}
}

func TestCodesAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	code := document(t).Components.Schemas["Problem"].Value.Properties["code"].Value
	documented, _ := code.Extensions["x-extensible-enum"].([]any)
	sameSet(t, "Problem.code", constants(t)[""], documented)
}

func sameSet(t *testing.T, name string, declared []string, documented []any) {
	t.Helper()
	want := map[string]bool{}
	for _, v := range documented {
		want[v.(string)] = true
	}
	got := map[string]bool{}
	for _, v := range declared {
		got[v] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: constants %v, document %v", name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// Rules stand twice, in the document and in the tags that the server checks; limits must not drift apart.
func TestValidateTagsStateTheDocumentedLimits(t *testing.T) {
	t.Parallel()
	schemas := document(t).Components.Schemas
	for _, name := range append(requests, "Schedule") {
		goType := components[name]
		for i := range goType.NumField() {
			f := goType.Field(i)
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			own, elements, _ := strings.Cut(f.Tag.Get("validate"), "dive")
			s := schemas[name].Value.Properties[member].Value
			limits(t, name+"."+member, own, s)
			if s.Items != nil {
				limits(t, name+"."+member+"[]", elements, s.Items.Value)
			}
			if required := slices.Contains(schemas[name].Value.Required, member); required != strings.HasPrefix(own, "required") {
				t.Errorf("%s.%s: required is %v, tag %q", name, member, required, own)
			}
		}
	}
}

func limits(t *testing.T, at, tag string, s *openapi3.Schema) {
	t.Helper()
	want := map[string]string{}
	number := func(rule string, p *float64) {
		if p != nil {
			want[rule] = strconv.FormatFloat(*p, 'f', -1, 64)
		}
	}
	count := func(rule string, n uint64, p *uint64) {
		if p != nil {
			want[rule] = strconv.FormatUint(*p, 10)
		} else if n > 0 {
			want[rule] = strconv.FormatUint(n, 10)
		}
	}
	number("min", s.Min)
	number("max", s.Max)
	count("min", s.MinLength, nil)
	count("max", 0, s.MaxLength)
	count("min", s.MinItems, nil)
	count("max", 0, s.MaxItems)
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = v.(string)
		}
		want["oneof"] = strings.Join(words, " ")
	}
	got := map[string]string{}
	for rule := range strings.SplitSeq(tag, ",") {
		if name, value, ok := strings.Cut(rule, "="); ok {
			got[name] = value
		}
	}
	if want["min"] == "1" && strings.HasPrefix(tag, "required") {
		got["min"] = "1" // an empty text is missing to the validator
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: the tag says %v, the document %v", at, got, want)
	}
}
