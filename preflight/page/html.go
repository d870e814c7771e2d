package page

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"linehaul/preflight"
)

//go:embed page.html
var layout string

//go:embed page.css
var style string

// HTML writes one page that stands by itself: no script, no picture, font or
// style from elsewhere. Its policy allows its own style sheet, by hash, and
// nothing else.
func HTML(w io.Writer, r preflight.Report, o Options) error {
	var t tidying
	r, o = t.report(r), t.options(o)
	v := newView(r, o)
	v.Cut = t.cut
	page, err := template.New("page").Funcs(template.FuncMap{
		"sign":    sign,
		"verdict": verdictWord,
		"style":   func() template.HTML { return template.HTML("<style>" + style + "</style>") },
		"policy":  policy,
	}).Parse(layout)
	if err != nil {
		return fmt.Errorf("the layout of the page: %w", err)
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if err := page.Execute(b, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return b.Flush()
}

// policy is the page's Content-Security-Policy.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'"
}
