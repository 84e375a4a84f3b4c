package postgres

import (
	"slices"
	"strconv"
	"strings"

	"pgp.internal/defender/internal/inventory"
)

// assetWords are the rows that an asset has in asset_word: what a search for a place in its host name or for an address
// has to begin with.
func assetWords(a *inventory.Asset) []string {
	words := make([]string, 0, 8)
	add := func(text string) {
		if text = inventory.CutSearchText(text); text != "" && !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	for _, name := range []string{a.Hostname, a.HostnameRaw} {
		for text := inventory.SearchText(name); text != ""; _, text, _ = strings.Cut(text, " ") {
			add(text)
		}
	}
	add(addressWord(a.PrimaryIP.String()))
	for _, address := range a.Addresses {
		add(addressWord(address.IP.String()))
	}
	return words
}

// addressWord is the row that an address has in asset_word: it is searched from its beginning only.
func addressWord(address string) string { return inventory.SearchText(address) }

// beyond makes the end of a range from its beginning: no text that begins with the same is behind it, because the
// character is the last one there is and belongs to no word.
const beyond = "\U0010FFFF"

// wordVector writes texts as a tsvector. The gap between two texts keeps a term from spanning both.
func wordVector(texts ...string) string {
	var out strings.Builder
	place := 0
	for _, text := range texts {
		for word := range strings.FieldsSeq(inventory.SearchText(text)) {
			place++
			// Words hold neither quotes nor backslashes.
			out.WriteString("'" + inventory.CutSearchText(word) + "':" + strconv.Itoa(place) + " ")
		}
		place++
	}
	return out.String()
}

// wordQuery writes search terms as a tsquery: the words of a term in a row, the last one as a beginning unless the term
// ends with it.
func wordQuery(terms []string) string {
	var out strings.Builder
	for i, term := range terms {
		if i > 0 {
			out.WriteString(" & ")
		}
		for j, word := range strings.Fields(term) {
			if j > 0 {
				out.WriteString(" <-> ")
			}
			out.WriteString("'" + word + "'")
		}
		if !strings.HasSuffix(term, " ") {
			out.WriteString(":*")
		}
	}
	return out.String()
}
