package portal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// asset is an embedded file under a name that tells its content, so that browsers may keep it for good.
type asset struct {
	path        string
	contentType string
	body        []byte
}

// assets are by their name in static; assetsByName by the last part of their path.
var assets, assetsByName = readAssets()

func readAssets() (byFile, byName map[string]asset) {
	byFile, byName = make(map[string]asset), make(map[string]asset)
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		panic(err) // it is in the binary
	}
	for _, f := range files {
		body, err := fs.ReadFile(staticFiles, path.Join("static", f.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		extension := path.Ext(f.Name())
		name := strings.TrimSuffix(f.Name(), extension) + "-" + hex.EncodeToString(sum[:8]) + extension
		a := asset{assetsPath + name, types[extension], body}
		byFile[f.Name()], byName[name] = a, a
	}
	return byFile, byName
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assetsByName[r.PathValue("name")]
	header := w.Header()
	secureHeaders(header, "")
	if !ok {
		http.NotFound(w, r)
		return
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.body)
}

// pages are the templates by name, each with the layout around it.
var pages = readPages()

func readPages() map[string]*template.Template {
	functions := template.FuncMap{
		"asset":    func(file string) string { return assets[file].path },
		"datetime": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":    func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
	}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html"))
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := make(map[string]*template.Template)
	for _, f := range files {
		if name := strings.TrimSuffix(path.Base(f), ".html"); name != "layout" {
			all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, f))
		}
	}
	return all
}

// view is what a template sees.
type view struct {
	Site      string
	Title     string
	Page      string
	Person    string // who has signed in; empty: nobody
	User      bool   // an IAM user
	Locked    bool   // until the password is changed
	Token     string // of forms of who has signed in
	RequestID string
	Data      any
}

// render answers with a page. It is made in whole before anything of it leaves.
func (x *exchange) render(status int, page, title string, data any) {
	v := &view{Site: cmp.Or(x.p.cfg.Title, "stint"), Title: title, Page: page, RequestID: x.RequestID, Data: data}
	if s := x.signIn; s != nil {
		v.Person, v.User, v.Locked, v.Token = s.Subject(), s.User != nil, s.MustChange, formToken(s.id)
	}
	var body bytes.Buffer
	if err := pages[page].Execute(&body, v); err != nil {
		x.p.cfg.Log.ErrorContext(context.WithoutCancel(x.r.Context()), "portal page", "page", page, "error", err)
		http.Error(x.w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body.Bytes()) // the browser may have left
}

// nameIn is the last part of an ARN's path.
func nameIn(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
