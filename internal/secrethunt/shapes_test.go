package secrethunt

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
)

const canary = `cnR8Q~hq7Zb1m"&T9sK2wE6uD3yJ+/`

// TestNeedlesFindEveryShape hides pieces of a secret as a careless line of code would.
func TestNeedlesFindEveryShape(t *testing.T) {
	t.Parallel()
	piece := canary[7:22]
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	x := newIndex()
	x.add("canary", canary)
	for name, text := range map[string]string{
		"raw": "x" + piece, "hex": fmt.Sprintf("%x", piece), "HEX": fmt.Sprintf("%X", piece), "URL": url.QueryEscape(piece), "JSON": string(quoted),
		"Go": fmt.Sprintf("%q", piece), "bytes": fmt.Sprint([]byte(piece)), "base64": base64.StdEncoding.EncodeToString([]byte("a" + canary)),
		"base64 behind something": base64.StdEncoding.EncodeToString([]byte("Authorization: " + canary)), "base64url": base64.URLEncoding.EncodeToString([]byte("ab" + canary)),
	} {
		if len(x.search(text)) != 1 {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if all := x.search("nothing of it: " + canary[:7] + " " + canary[7:14]); len(all) > 0 {
		t.Errorf("found %v where it is not", all)
	}
}
