// Asks Gitea's Go SDK whether it accepts the rows of gitea.json: see ../README.md.
// usage: go run accept.go FOLDER   (of the vectors)
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"code.gitea.io/sdk/gitea"
)

type row struct {
	Secret  string
	Request struct {
		Headers [][2]string
		Body    string
	}
}

func accepted(secret string, headers [][2]string, body string) bool {
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for _, header := range headers {
		request.Header.Set(header[0], header[1])
	}
	answer := httptest.NewRecorder()
	done := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	gitea.VerifyWebhookSignatureMiddleware(secret)(done).ServeHTTP(answer, request)
	return answer.Code == http.StatusOK
}

func main() {
	text, err := os.ReadFile(os.Args[1] + "/gitea.json")
	var rows []row
	if err == nil {
		err = json.Unmarshal(text, &rows)
	}
	if err != nil {
		panic(err)
	}
	for _, row := range rows {
		if !accepted(row.Secret, row.Request.Headers, row.Request.Body) {
			panic("not accepted")
		}
		if accepted(row.Secret+"x", row.Request.Headers, row.Request.Body) || accepted(row.Secret, row.Request.Headers, row.Request.Body+"x") {
			panic("accepts another request")
		}
		fmt.Println("gitea: accepted")
	}
}
