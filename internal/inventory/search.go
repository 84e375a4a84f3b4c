package inventory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSearchWord is how many characters of a word, or of words in a row, are compared.
const maxSearchWord = 100

// SearchText brings a text into the form in which it is searched: its words in lower case, each with one space behind it.
// A word is a run of letters and digits; what stands between words does not count. The form does not depend on how the
// database compares text.
func SearchText(text string) string {
	var out strings.Builder
	out.Grow(len(text) + 1)
	inside := false
	for _, r := range text {
		switch {
		case isWordRune(r):
			out.WriteRune(unicode.ToLower(r))
			inside = true
		case inside:
			out.WriteByte(' ')
			inside = false
		}
	}
	if inside {
		out.WriteByte(' ')
	}
	return out.String()
}

// Marks belong to the letter before them.
func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// SearchTerms cuts what somebody searches for at white space and gives each part in the form of [SearchText]. It matches
// what begins with it. A part that ends inside a word has no space at its end and matches longer words too; one with
// another sign behind its last word does not. Parts without a word are left out.
func SearchTerms(text string) []string {
	var terms []string
	for part := range strings.FieldsSeq(text) {
		term := SearchText(part)
		if term == "" {
			continue
		}
		if last, _ := utf8.DecodeLastRuneInString(part); isWordRune(last) {
			term = term[:len(term)-1]
		}
		terms = append(terms, CutSearchText(term))
	}
	return terms
}

// CutSearchText shortens a text in the form of [SearchText] to what is compared of it.
func CutSearchText(text string) string { return firstRunes(text, maxSearchWord) }
