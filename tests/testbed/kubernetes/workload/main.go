// The program inside the images that the testbed's cluster runs: a server whose start, readiness, liveness and end
// are told from outside, and the few commands that a test wants to run in a pod that has no shell.
//
// It is also the image of the pod sandbox (`workload pause`), so that one small program is all a node needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const usage = `usage: workload COMMAND

  serve          answer HTTP on $PORT (8080) until SIGTERM; see the comment on serve
  pause          do nothing until a signal comes
  echo WORD...   print the words
  exit CODE      end with that code
  fill           take memory until somebody ends it, 1 GiB at most
  get URL        print the body of an answer; ends with 1 unless its status is 200
  resolve NAME   print the addresses of a host name
`

func main() {
	if len(os.Args) < 2 {
		fail(2, usage)
	}
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "serve":
		serve()
	case "pause":
		<-terminated()
	case "echo":
		fmt.Println(strings.Join(arguments, " "))
	case "exit":
		code, err := strconv.Atoi(only(arguments))
		if err != nil {
			fail(2, err.Error())
		}
		os.Exit(code)
	case "fill":
		fill()
	case "get":
		get(only(arguments))
	case "resolve":
		addresses, err := net.LookupHost(only(arguments))
		if err != nil {
			fail(1, err.Error())
		}
		fmt.Println(strings.Join(addresses, "\n"))
	default:
		fail(2, usage)
	}
}

// fill takes memory and writes to all of it: what is only reserved counts for nothing.
func fill() {
	const piece, most = 1 << 20, 1 << 10
	var taken [][]byte
	for len(taken) < most {
		bytes := make([]byte, piece)
		for at := 0; at < piece; at += 4096 {
			bytes[at] = 1
		}
		taken = append(taken, bytes)
	}
	fmt.Printf("nobody minded %d MiB\n", len(taken))
}

// serve answers on /, /live and /ready, and as gRPC's health service, and obeys:
//
//	$VERSION            what / answers
//	$START_SECONDS      wait before listening
//	$CRASH              end at once with this exit code
//	$READY=false        begin not ready
//	POST /ready/on|off  change readiness
//	POST /live/on|off   change liveness
//	POST /crash         end with exit code 1
//
// Every request and every change is a line on standard output. SIGTERM ends it with exit code 0: a process with
// number 1 gets no default action, so without a handler each stop would take the whole grace period.
func serve() {
	stop := terminated()
	version := os.Getenv("VERSION")
	fmt.Printf("workload %s starts\n", version)
	if code := os.Getenv("CRASH"); code != "" {
		number, err := strconv.Atoi(code)
		if err != nil {
			fail(2, "CRASH: "+err.Error())
		}
		fail(number, "workload crashes as it was told")
	}
	if seconds := os.Getenv("START_SECONDS"); seconds != "" {
		number, err := strconv.Atoi(seconds)
		if err != nil {
			fail(2, "START_SECONDS: "+err.Error())
		}
		time.Sleep(time.Duration(number) * time.Second)
	}
	var live, ready atomic.Bool
	live.Store(true)
	ready.Store(os.Getenv("READY") != "false")

	http.HandleFunc("GET /{$}", func(writer http.ResponseWriter, request *http.Request) {
		fmt.Printf("request from %s\n", request.RemoteAddr)
		fmt.Fprintf(writer, "version %s\n", version)
	})
	http.HandleFunc("POST /crash", func(http.ResponseWriter, *http.Request) { fail(1, "workload crashes as it was told") })
	handle("live", &live)
	handle("ready", &ready)

	http.HandleFunc("POST /grpc.health.v1.Health/Check", func(writer http.ResponseWriter, request *http.Request) {
		health(writer, request, ready.Load())
	})

	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := http.Server{Addr: ":" + port, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			fail(1, err.Error())
		}
	}()
	fmt.Printf("workload %s listens on %s\n", version, port)
	<-stop
	// Whoever is connected by HTTP/2 is told to go elsewhere, and what has begun is answered.
	patience, end := context.WithTimeout(context.Background(), 2*time.Second)
	defer end()
	if err := server.Shutdown(patience); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Printf("workload %s stops\n", version)
}

// health answers as gRPC's health service does: SERVING (1) or NOT_SERVING (2) in a message of two bytes, and the
// call's own outcome in a trailer.
func health(writer http.ResponseWriter, request *http.Request, serving bool) {
	if _, err := io.Copy(io.Discard, request.Body); err != nil || request.ProtoMajor != 2 {
		writer.WriteHeader(http.StatusBadRequest)
		return
	}
	status := byte(2)
	if serving {
		status = 1
	}
	writer.Header().Set("Content-Type", "application/grpc")
	writer.Header().Set("Trailer", "Grpc-Status")
	if _, err := writer.Write([]byte{0, 0, 0, 0, 2, 8, status}); err == nil {
		writer.Header().Set("Grpc-Status", "0")
	}
}

// handle serves the state of one switch, and the two requests that change it.
func handle(name string, state *atomic.Bool) {
	http.HandleFunc("GET /"+name, func(writer http.ResponseWriter, _ *http.Request) {
		if !state.Load() {
			writer.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintf(writer, "%s %v\n", name, state.Load())
	})
	for word, value := range map[string]bool{"on": true, "off": false} {
		http.HandleFunc("POST /"+name+"/"+word, func(http.ResponseWriter, *http.Request) {
			state.Store(value)
			fmt.Printf("%s is %s\n", name, word)
		})
	}
}

func get(url string) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		fail(1, err.Error())
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		fail(1, err.Error())
	}
	if answer.StatusCode != http.StatusOK {
		fail(1, answer.Status)
	}
}

func terminated() <-chan os.Signal {
	channel := make(chan os.Signal, 1)
	signal.Notify(channel, syscall.SIGTERM, syscall.SIGINT)
	return channel
}

func only(arguments []string) string {
	if len(arguments) != 1 {
		fail(2, usage)
	}
	return arguments[0]
}

func fail(code int, message string) {
	fmt.Fprintln(os.Stderr, strings.TrimSpace(message))
	os.Exit(code)
}
