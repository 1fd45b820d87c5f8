# frozen_string_literal: true

require_relative "support"
require "open3"

# Processes that fork, end and are killed; what is configured and what a call is called.
class ProcessTest < Minitest::Test
  include Support

  def test_a_child_has_a_queue_and_files_of_its_own
    gateway = gateway()
    gateway.down
    client = client(gateway.url)
    track(client, 0...100)
    assert client.flush(10)
    track(client, 100...110) # in the parent's queue, and not in the children's
    said = in_child do |out|
      out.puts client.stats.values_at(:tracked, :queued, :in_flight).inspect
      track(client, 200...300)
      out.puts client.flush(10)
      out.puts client.stats[:spilled]
      client.close
    end
    assert_equal "[0, 0, 0]\ntrue\n100\n", said
    track(client, 110...120)
    gateway.up
    assert_taken gateway, [*0...120, *200...300]
    eventually("no file is left") { files.empty? }
  end

  def test_children_and_parent_speak_at_once_on_connections_of_their_own
    gateway = gateway()
    client = client(gateway.url)
    track(client, 0...50)
    assert client.flush(10)
    pids = Array.new(3) do |child|
      fork do
        track(client, (child + 1) * 1_000...(child + 1) * 1_000 + 500)
        client.close(10)
        exit!(0)
      end
    end
    track(client, 50...500)
    pids.each { |pid| assert Process.wait2(pid).last.success? }
    assert client.flush(10)
    assert_taken gateway, [*0...500, *1_000...1_500, *2_000...2_500, *3_000...3_500]
  end

  def test_a_file_that_a_living_process_writes_is_nobody_elses_even_after_a_fork
    client = client("http://127.0.0.1:1", backoff: 60, backoff_max: 60)
    track(client, 0...10)
    assert client.flush(10)
    assert_equal 1, files.size
    spill = -> { ValeraAnalytics::Spill.new(client.config, ValeraAnalytics::Log.new(client.config.logger)) }
    assert_nil spill.call.take
    assert_equal "true", in_child { |out| out.write(client.stats[:tracked].zero? && spill.call.take.nil?) }
    assert_nil spill.call.take, "the child's end let go of the parent's lock"
    client.close
    segment = spill.call.take
    assert_equal 10, segment.next(1_000, 1 << 20).size
    assert_nil spill.call.take, "taken twice"
    segment.close
  end

  def test_what_a_killed_process_left_is_sent_by_another
    gateway = gateway()
    gateway.down
    client = client(gateway.url)
    pid = fork do
      track(client, 0...500)
      client.flush(10)
      Process.kill(:KILL, Process.pid)
    end
    Process.wait(pid)
    refute_empty files
    gateway.up
    client.start
    assert_taken gateway, 0...500
    eventually("no file is left") { files.empty? }
  end

  def test_several_threads_track_at_once
    gateway = gateway()
    client = client(gateway.url)
    Array.new(8) { |thread| Thread.new { track(client, thread * 500...(thread + 1) * 500) } }.each(&:join)
    assert client.flush(10)
    assert_taken gateway, 0...4_000
  end

  def test_a_signal_handler_may_track
    gateway = gateway()
    client = client(gateway.url)
    before = trap("USR1") { track(client, [0]) }
    Process.kill("USR1", Process.pid)
    assert_taken gateway, [0]
  ensure
    trap("USR1", before)
  end

  # A program of its own that requires the file as an application does, with these settings and this body.
  def program(body, url, **env)
    settings = { "ANALYTICS_ENABLED" => "true", "VALERA_GATEWAY_URL" => url, "VALERA_GATEWAY_TOKEN" => StubGateway::TOKEN,
                 "VALERA_SPILL_DIR" => @dir, "RAILS_ENV" => nil, "RACK_ENV" => nil, "FORCE_ANALYTICS" => nil }
    file = File.expand_path("../valera_analytics.rb", __dir__)
    began = ValeraAnalytics.monotonic
    said, status = Open3.capture2e(settings.merge(env.transform_keys(&:to_s)), RbConfig.ruby, "-w", "-r", file, "-e", body)
    @took = ValeraAnalytics.monotonic - began
    assert status.success?, said
    said
  end

  SPEAK = '100.times { |n| AnalyticsService.track("spoken", chat_id: n, properties: { n: n }) }'

  def test_the_exit_sends_what_is_queued
    gateway = gateway()
    assert_empty program(SPEAK, gateway.url)
    assert_taken gateway, 0...100
  end

  def test_an_exit_with_the_gateway_down_leaves_it_on_the_disk
    assert_match(/gateway does not take events/, program(SPEAK, "http://127.0.0.1:1"))
    gateway = gateway()
    client(gateway.url).start
    assert_taken gateway, 0...100
  end

  def test_an_exit_into_a_black_hole_ends_in_time_and_leaves_it_on_the_disk
    program(SPEAK, gateway { :hang }.url)
    puts format("an exit into a black hole took %.1f s", @took)
    assert_operator @took, :<, 15 # 3 s, and a slow machine
    gateway = gateway()
    client(gateway.url).start
    assert_taken gateway, 0...100
  end

  def test_an_exit_that_can_keep_nothing_says_how_much_is_lost
    assert_match(/100 events are lost at the exit/, program(SPEAK, "http://127.0.0.1:1", VALERA_SPILL_DIR: "/dev/null/x"))
  end

  def test_a_child_that_leaves_by_exit_sends_what_is_its_own
    gateway = gateway()
    program("AnalyticsService.track('spoken', chat_id: 1, properties: { n: 0 }); AnalyticsService.flush
             Process.wait(fork { AnalyticsService.track('spoken', chat_id: 1, properties: { n: 1 }) })
             Process.wait(fork {})", gateway.url)
    assert_taken gateway, 0...2
    assert_equal [1, 1], gateway.taken.values
  end

  def test_https_is_held_to_a_certificate_that_is_trusted
    key = OpenSSL::PKey::RSA.new(2048)
    certificate = OpenSSL::X509::Certificate.new
    certificate.version, certificate.serial, certificate.public_key = 2, 1, key.public_key
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse("/CN=localhost")
    certificate.not_before, certificate.not_after = Time.now - 60, Time.now + 3_600
    certificate.add_extension(OpenSSL::X509::ExtensionFactory.new.create_extension("subjectAltName", "DNS:localhost"))
    certificate.sign(key, OpenSSL::Digest.new("SHA256"))
    gateway = gateway(certificate: certificate, key: key)
    assert_match(/OpenSSL::SSL::SSLError/, program(SPEAK, gateway.url))
    assert_empty gateway.taken
    trusted = File.join(@dir, "trusted.pem")
    File.write(trusted, certificate.to_pem)
    program("AnalyticsService.start; until AnalyticsService.stats[:drained] == 100; sleep 0.01; end", gateway.url, SSL_CERT_FILE: trusted)
    assert_taken gateway, 0...100
  end

  def test_where_tracking_is_on
    ask = "puts AnalyticsService.enabled?"
    { { ANALYTICS_ENABLED: "true" } => true, { ANALYTICS_ENABLED: "0", RAILS_ENV: "production" } => false,
      { ANALYTICS_ENABLED: nil, RAILS_ENV: "production" } => true, { ANALYTICS_ENABLED: "", RACK_ENV: "staging" } => true,
      { ANALYTICS_ENABLED: nil, RAILS_ENV: "test" } => false, { ANALYTICS_ENABLED: nil } => false,
      { ANALYTICS_ENABLED: nil, RAILS_ENV: "development", FORCE_ANALYTICS: "1" } => true }.each do |env, expected|
      assert_equal "#{expected}\n", program(ask, "http://127.0.0.1:1", **env), env.inspect
    end
    said = program("#{ask}; p AnalyticsService.track('spoken', chat_id: 1)", "http://127.0.0.1:1", ANALYTICS_ENABLED: "ture")
    assert_match(/ANALYTICS_ENABLED must be true or false.*\nfalse\nnil\n/, said)
    assert_empty files
  end

  def test_the_interface_of_the_first_design
    gateway = gateway()
    program(<<~RUBY, gateway.url)
      at = Time.utc(2026, 11, 24, 9)
      Events = AnalyticsService::Events
      AnalyticsService.track(Events::DIALOG_STARTED, chat_id: 42, properties: { message_type: "text" }, occurred_at: at)
      AnalyticsService.track_response_time(42, 1830.4, "deepseek-chat")
      AnalyticsService.track_conversion(Events::CART_CONFIRMED, 42, { services_count: 1 })
      begin
        AnalyticsService.measure(42, "deepseek-chat") { raise IOError, "execution expired" }
      rescue IOError => e
        AnalyticsService.error(42, e, "webhook_processing")
      end
      abort unless AnalyticsService.measure(42, "gpt") { :answer } == :answer
      AnalyticsService.track("review_left", chat_id: 42, session_id: "s", platform: "web")
    RUBY
    events = gateway.events.map { |event| event.reject { |key, _| key == "event_id" } }
    events.each_with_index { |event, index| event.delete("occurred_at") unless index.zero? }
    events.each { |event| event["properties"].delete("timestamp") }
    duration = events[4]["properties"].delete("duration_ms")
    assert_kind_of Integer, duration
    assert_equal [
      { "event_name" => "ai_dialog_started", "chat_id" => 42, "occurred_at" => "2026-11-24T09:00:00.000000Z",
        "properties" => { "message_type" => "text" } },
      { "event_name" => "ai_response_time", "chat_id" => 42, "properties" => { "duration_ms" => 1830, "model_used" => "deepseek-chat" } },
      { "event_name" => "cart_confirmed", "chat_id" => 42, "properties" => { "services_count" => 1 } },
      { "event_name" => "error_occurred", "chat_id" => 42, "properties" => { "error_class" => "IOError",
        "error_message" => "execution expired", "context" => "assistant", "model_used" => "deepseek-chat" } },
      { "event_name" => "ai_response_time", "chat_id" => 42, "properties" => { "model_used" => "gpt" } },
      { "event_name" => "review_left", "chat_id" => 42, "session_id" => "s", "platform" => "web", "properties" => {} }
    ], events
  end

  def test_what_a_call_takes
    gateway = gateway()
    client = client(gateway.url)
    took = Array.new(5_000) do |n|
      began = ValeraAnalytics.monotonic
      client.track("spoken", chat_id: n, properties: { service_name: "Полировка", price: 15_000.5, n: n })
      ValeraAnalytics.monotonic - began
    end.sort
    puts format("track: p50 %.1f us, p99 %.1f us, max %.1f us", *took.values_at(2_500, 4_950, -1).map { |seconds| seconds * 1e6 })
    assert client.flush(10)
  end
end
