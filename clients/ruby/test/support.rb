# frozen_string_literal: true

# Run them with: ruby clients/ruby/test/all.rb
require "logger"
require "minitest/autorun"
require "securerandom"
require "stringio"
require "tmpdir"
require_relative "../valera_analytics"
require_relative "stub_gateway"

module Support
  def setup
    @dir = Dir.mktmpdir("valera")
    @log = StringIO.new
    @clients = []
    @gateways = []
  end

  def teardown
    @clients.each { |client| client.close(0.2) }
    @gateways.each { |gateway| gateway.down rescue nil }
    FileUtils.rm_rf(@dir)
  end

  def gateway(**tls, &behave)
    StubGateway.new(**tls, &behave).tap { |gateway| @gateways << gateway }
  end

  # A client that is quick to lose patience.
  def client(url, **settings)
    config = ValeraAnalytics::Config.new({})
    { enabled: true, url: url, token: StubGateway::TOKEN, spill_dir: @dir, logger: Logger.new(@log), linger: 0.01,
      backoff: 0.02, backoff_max: 0.1, scan: 0.05, connect_timeout: 0.5, read_timeout: 0.3, request_timeout: 0.5, exit_timeout: 1 }
      .merge(settings).each { |name, value| config.public_send("#{name}=", value) }
    ValeraAnalytics::Client.new(config).tap { |client| @clients << client }
  end

  def track(client, numbers)
    numbers.map { |n| client.track("spoken", chat_id: n, properties: { n: n }) }
  end

  # Polls until the block holds, for at most half a minute.
  def eventually(what)
    deadline = ValeraAnalytics.monotonic + 30
    until yield
      flunk("not within half a minute: #{what}; #{@clients.last&.stats} #{@log.string}") if ValeraAnalytics.monotonic > deadline
      sleep 0.01
    end
  end

  # The gateway answered for each of these, and of each there is one form only.
  def assert_taken(gateway, numbers)
    eventually("all events are taken") { gateway.taken.size >= numbers.size }
    assert_equal numbers.to_a, gateway.events.map { |event| event["properties"]["n"] }.sort
    assert_equal numbers.size, gateway.events.map { |event| event["event_id"] }.uniq.size
  end

  def files
    Dir.children(@dir).sort
  end

  # Runs the block in a child and gives what it wrote to its standard output.
  def in_child
    reader, writer = IO.pipe
    pid = fork do
      reader.close
      yield writer
      writer.close
      exit!(0)
    end
    writer.close
    said = reader.read
    _, status = Process.wait2(pid)
    assert status.success?, "the child failed: #{said} #{@log.string}"
    said
  end
end
