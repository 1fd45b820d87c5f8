# frozen_string_literal: true

# What a call of track costs the application, with the gateway up, down, and swallowing what it is sent.
#
#   ruby clients/ruby/bench.rb [EVENTS] [PER_SECOND]
#
# Up is the gateway of VALERA_GATEWAY_URL where that is set, with VALERA_GATEWAY_TOKEN; else a stand-in in a process of its
# own, which answers at once. Each state is measured at a pace, as an application tracks, and then as fast as one thread can.
require "logger"
require "tmpdir"
require_relative "valera_analytics"
require_relative "test/stub_gateway"

EVENTS = Integer(ARGV[0] || 20_000)
PER_SECOND = Integer(ARGV[1] || 2_000)
PROPERTIES = { booking_id: 7, services_count: 2, estimated_total: "27500.00", processing_time_ms: 41, user_segment: "new" }.freeze

def client(url, token, dir)
  config = ValeraAnalytics::Config.new
  { enabled: true, url: url, token: token, spill_dir: dir, logger: Logger.new(File::NULL) }
    .each { |name, value| config.public_send("#{name}=", value) }
  ValeraAnalytics::Client.new(config)
end

# Seconds that each call took.
def calls(client, pace)
  began = ValeraAnalytics.monotonic
  Array.new(EVENTS) do |n|
    if pace
      ahead = began + n.fdiv(PER_SECOND) - ValeraAnalytics.monotonic
      sleep ahead if ahead.positive?
    end
    at = ValeraAnalytics.monotonic
    client.track("booking_request_created", chat_id: n % 500, properties: PROPERTIES)
    ValeraAnalytics.monotonic - at
  end
end

def measure(state, url, token)
  [true, false].each do |pace|
    Dir.mktmpdir do |dir|
      client = client(url, token, dir)
      client.track("warm_up", chat_id: 1)
      cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      took = calls(client, pace).sort
      cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - cpu
      client.flush(0.5)
      became = client.stats.slice(:accepted, :spilled, :queue_full, :queued, :in_flight).reject { |_, count| count.zero? }
      p50, p99, max = took.values_at(EVENTS / 2, EVENTS * 99 / 100, -1).map { |seconds| seconds * 1e6 }
      puts format("| %-11s | %-14s | %6.0f | %6.0f | %8.0f | %5.0f | %s |", state, pace ? "#{PER_SECOND}/s" : "#{(EVENTS / took.sum).round}/s",
                  p50, p99, max, cpu / EVENTS * 1e6, became.map { |name, count| "#{count} #{name}" }.join(", "))
      client.close(0)
    end
  end
end

# An address whose server is the block, in a process that ends with this one.
def elsewhere
  reader, writer = IO.pipe
  pid = fork do
    server, url = yield
    writer.puts(url)
    writer.close
    sleep
    server
  end
  at_exit { Process.kill(:KILL, pid) }
  reader.gets.chomp
end

up = ENV["VALERA_GATEWAY_URL"] || elsewhere { gateway = StubGateway.new and [gateway, gateway.url] }
token = ENV["VALERA_GATEWAY_URL"] ? ENV["VALERA_GATEWAY_TOKEN"] : StubGateway::TOKEN
hole = elsewhere { server = TCPServer.new("127.0.0.1", 0) and [server, "http://127.0.0.1:#{server.addr[1]}"] }

puts "#{RUBY_DESCRIPTION}; #{EVENTS} events a row; up is #{ENV['VALERA_GATEWAY_URL'] ? 'the gateway' : 'a stand-in'}"
puts "| gateway     | calls          | p50 us | p99 us |   max us | CPU us | became |"
puts "|-------------|----------------|--------|--------|----------|--------|--------|"
measure("up", up, token)
measure("down", "http://127.0.0.1:1", token)
measure("black hole", hole, token)
