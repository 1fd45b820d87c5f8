# frozen_string_literal: true

require "json"
require "openssl"
require "socket"
require "zlib"

# A gateway that misbehaves as it is told, on a port of its own. It speaks the contract of docs/gateway.md as far as the
# client needs it, and keeps each event that it answered for with 202.
class StubGateway
  TOKEN = "a-token-of-the-tests-24-long"

  attr_accessor :behave
  attr_reader :port, :requests

  # behave is called with the lines of a request and gives what to do: a number for a status, :take, :hang (no answer), :cut
  # (take and close without an answer), :drip (an answer without an end), :page (a proxy's page with status 200), an array
  # of status and headers, or a hash of index to reasons for events that are rejected.
  def initialize(certificate: nil, key: nil, &behave)
    @tls = OpenSSL::SSL::SSLContext.new.tap { |tls| tls.add_certificate(certificate, key) } if certificate
    @behave = behave || ->(_lines) { :take }
    @mutex = Mutex.new
    @taken = Hash.new(0)
    @requests = 0
    listen(0)
  end

  def listen(port)
    @server = TCPServer.new("127.0.0.1", port)
    @port = @server.addr[1]
    @connections = []
    @thread = Thread.new { serve }
  end

  def url
    @tls ? "https://localhost:#{@port}" : "http://127.0.0.1:#{@port}"
  end

  # Events by id: how often each was taken.
  def taken
    @mutex.synchronize { @taken.dup }
  end

  def events
    taken.keys.map { |line| JSON.parse(line) }
  end

  def down
    @server.close
    @thread.join
    @connections.each { |socket| socket.close unless socket.closed? }
  end

  # On the same port, after down.
  def up
    listen(@port)
  end

  private

  def serve
    loop do
      socket = @server.accept
      @connections << socket
      Thread.new { converse(socket) }.report_on_exception = false
    end
  rescue IOError, SystemCallError
    nil
  end

  def converse(socket)
    socket = OpenSSL::SSL::SSLSocket.new(socket, @tls).tap { |tls| tls.sync_close = true }.accept if @tls
    while (line = socket.gets)
      headers = {}
      while (header = socket.gets.chomp) != ""
        name, value = header.split(": ", 2)
        headers[name.downcase] = value
      end
      body = socket.read(headers["content-length"].to_i)
      body = Zlib.gunzip(body) if headers["content-encoding"] == "gzip"
      @mutex.synchronize { @requests += 1 }
      break if answer(socket, line, headers, body.force_encoding("UTF-8").split("\n")) == :close
    end
  rescue IOError, SystemCallError, OpenSSL::SSL::SSLError
    nil
  ensure
    socket.close unless socket.closed?
  end

  def answer(socket, line, headers, lines)
    return say(socket, 401) unless headers["authorization"] == "Bearer #{TOKEN}"
    return say(socket, 200, {}, JSON.generate({ chat_id: 42, user_segment: "engaged" })) if line.start_with?("GET /v1/chats/42 ")
    return say(socket, 404) unless line.start_with?("POST /v1/events ")
    return say(socket, 415) unless headers["content-type"] == "application/x-ndjson"

    case (what = @behave.call(lines))
    when :take then take(socket, lines, {})
    when Hash then take(socket, lines, what)
    when :cut
      keep(lines)
      :close
    when :hang
      sleep
    when :drip
      socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")
      loop { socket.write(" ") && sleep(0.05) }
    when :page then say(socket, 200, {}, "<html>Log in</html>")
    when Array then say(socket, *what)
    else say(socket, what)
    end
  end

  def keep(lines)
    @mutex.synchronize { lines.each { |line| @taken[line] += 1 } }
  end

  def take(socket, lines, rejected)
    keep(lines)
    verdicts = lines.each_index.map do |index|
      verdict = { index: index, event_id: JSON.parse(lines[index])["event_id"], status: "accepted" }
      rejected[index] ? verdict.merge(status: "rejected", reasons: rejected[index]) : verdict
    end
    reply = { accepted: lines.size - rejected.size, rejected: rejected.size, events: verdicts }
    say(socket, 202, {}, JSON.generate(reply))
  end

  def say(socket, status, headers = {}, body = "{}")
    head = headers.merge("Content-Length" => body.bytesize).map { |name, value| "#{name}: #{value}\r\n" }.join
    socket.write("HTTP/1.1 #{status} Said\r\n#{head}\r\n#{body}")
  end
end
