package saml

import "encoding/base64"

// writer writes XML. Whatever it is given as a value or a text comes out masked.
type writer struct{ buf []byte }

func (w *writer) String() string { return string(w.buf) }

// open writes a start tag. Attributes are names and values in turn; those with an empty value are left out.
func (w *writer) open(name string, attributes ...string) {
	w.buf = append(append(w.buf, '<'), name...)
	for i := 0; i < len(attributes); i += 2 {
		if attributes[i+1] == "" {
			continue
		}
		w.buf = append(append(append(w.buf, ' '), attributes[i]...), '=', '"')
		w.buf = append(appendValue(w.buf, attributes[i+1]), '"')
	}
	w.buf = append(w.buf, '>')
}

func (w *writer) close(name string) {
	w.buf = append(append(append(w.buf, '<', '/'), name...), '>')
}

// leaf writes an element that holds text only.
func (w *writer) leaf(name, text string, attributes ...string) {
	w.open(name, attributes...)
	w.buf = appendText(w.buf, text)
	w.close(name)
}

// raw writes XML.
func (w *writer) raw(xml string) { w.buf = append(w.buf, xml...) }

// keyInfo writes a certificate.
func (w *writer) keyInfo(certificate []byte) {
	w.open("ds:KeyInfo", "xmlns:ds", dsigNamespace)
	w.open("ds:X509Data")
	w.leaf("ds:X509Certificate", base64.StdEncoding.EncodeToString(certificate))
	w.close("ds:X509Data")
	w.close("ds:KeyInfo")
}
