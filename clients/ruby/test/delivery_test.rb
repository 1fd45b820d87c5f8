# frozen_string_literal: true

require_relative "support"

# A gateway that misbehaves: nothing is lost, nothing is another event the second time, nothing stands in the way.
class DeliveryTest < Minitest::Test
  include Support

  def test_events_arrive_in_batches_as_the_contract_says
    gateway = gateway()
    client = client(gateway.url)
    ids = track(client, 0...2_500)
    assert client.flush(10)
    assert_taken gateway, 0...2_500
    assert_equal ids.sort, gateway.events.map { |event| event["event_id"] }.sort
    assert_operator gateway.requests, :<, 50
    assert_empty files
    assert_equal 2_500, client.stats[:accepted]
  end

  def test_a_gateway_that_is_down_gets_everything_once_it_is_back
    gateway = gateway()
    client = client(gateway.url)
    gateway.down
    track(client, 0...3_000)
    assert client.flush(10), "the disk keeps it"
    refute_empty files
    assert_equal 0o600, File.stat(File.join(@dir, files.first)).mode & 0o777
    gateway.up
    assert_taken gateway, 0...3_000
    eventually("no file is left") { files.empty? }
    assert_match(/gateway does not take events \(Errno::ECONNREFUSED\)/, @log.string)
  end

  { status_500: 500, status_503: [503, { "Retry-After" => "0" }], status_429: [429, { "Retry-After" => "0" }], status_401: 401,
    status_403: 403, status_404: 404, status_415: 415, a_redirect: [302, { "Location" => "/" }], a_proxys_page: :page,
    a_black_hole: :hang, an_answer_without_an_end: :drip, an_answer_cut_after_accepting: :cut }.each do |name, behaviour|
    define_method("test_nothing_is_lost_by_#{name}") do
      bad = 2
      gateway = gateway { |_lines| (bad -= 1) >= 0 ? behaviour : :take }
      client = client(gateway.url)
      track(client, 0...100)
      assert client.flush(10)
      track(client, 100...200)
      assert_taken gateway, 0...200
      eventually("no file is left") { files.empty? }
      assert_equal 200, client.stats[:accepted]
      assert_operator client.stats[:retries], :>=, 1
    end
  end

  def test_a_connection_that_was_closed_while_idle_is_replaced_without_a_word
    gateway = gateway()
    client = client(gateway.url)
    track(client, 0...10)
    assert client.flush(10)
    gateway.down
    gateway.up
    track(client, 10...20)
    assert client.flush(10)
    assert_taken gateway, 0...20
    assert_equal 0, client.stats[:retries]
  end

  def test_without_a_directory_events_wait_in_memory
    gateway = gateway()
    client = client(gateway.url, spill_dir: nil)
    gateway.down
    track(client, 0...100)
    refute client.flush(0.2)
    gateway.up
    assert client.flush(10)
    assert_taken gateway, 0...100
  end

  def test_retry_after_is_honoured
    gateway = gateway { [503, { "Retry-After" => "60" }] }
    client = client(gateway.url, retry_after_max: 60)
    track(client, 0...10)
    assert client.flush(10)
    assert_in_delta 60, client.stats[:retry_in], 30
    track(client, 10...20)
    assert client.flush(10)
    assert_equal 1, gateway.requests
  end

  def test_a_wrong_token_keeps_events_and_is_told
    gateway = gateway()
    client = client(gateway.url, token: "wrong")
    track(client, 0...10)
    assert client.flush(10)
    assert_match(/status 401/, @log.string)
    refute_match(/wrong/, @log.string)
    client.config.token = StubGateway::TOKEN
    assert_taken gateway, 0...10
  end

  def test_a_request_that_is_too_long_is_cut
    gateway = gateway { |lines| lines.size > 100 ? 413 : :take }
    client = client(gateway.url)
    track(client, 0...1_000)
    assert client.flush(10)
    assert_taken gateway, 0...1_000
    assert_equal 0, client.stats[:refused]
  end

  def test_an_event_that_is_refused_for_good_holds_nobody_up
    gateway = gateway { |lines| lines.any? { |line| line.include?('"n":7}') } ? 400 : :take }
    client = client(gateway.url)
    gateway.down
    track(client, 0...1_000)
    assert client.flush(10)
    gateway.up
    eventually("the others are taken") { gateway.taken.size == 999 }
    eventually("only the refused one is left") { files == ["events.rejected"] }
    refused = File.readlines(File.join(@dir, "events.rejected"))
    assert_equal [7], refused.map { |line| JSON.parse(line)["properties"]["n"] }
    assert_equal 0o600, File.stat(File.join(@dir, "events.rejected")).mode & 0o777
    assert_equal 1, client.stats[:refused]
    assert_match(/refused for good \(status 400\) and kept in events.rejected/, @log.string)
  end

  def test_rejected_events_are_named_with_their_reasons_and_without_their_values
    reasons = [{ reason: "missing_property", path: "properties.booking_id", expected: "got +79161234567" }]
    gateway = gateway { { 0 => reasons } }
    client = client(gateway.url)
    client.track("booking_request_created", chat_id: 5_550_123, properties: { phone: "+79161234567" })
    assert client.flush(10)
    eventually("it is counted") { client.stats[:rejected] == 1 }
    assert_match(/booking_request_created is rejected and kept as a dead letter: missing_property properties.booking_id/, @log.string)
    refute_match(/7916|5550123/, @log.string)
  end

  def test_a_full_queue_drops_the_newest_counts_and_tells_once
    gateway = gateway { :hang }
    client = client(gateway.url, spill_dir: nil, queue_events: 100)
    ids = track(client, 0...250)
    assert_equal [100, 150], [ids.compact.size, client.stats[:queue_full]]
    assert ids.first(100).all?
    gateway.behave = ->(_lines) { :take }
    assert_taken gateway, 0...100
    assert client.flush(10)
    assert_equal 1, @log.string.scan(/the queue is full/).size
  end

  def test_while_the_gateway_hangs_the_queue_goes_to_the_disk_before_it_is_full
    gateway = gateway { :hang }
    client = client(gateway.url, queue_events: 400, batch_events: 40, read_timeout: 30, request_timeout: 30)
    20.times do |part|
      track(client, part * 40...(part + 1) * 40)
      eventually("there is room again") { client.stats.values_at(:queued, :in_flight).sum <= 300 }
    end
    assert_equal [800, 0], client.stats.values_at(:tracked, :queue_full)
    client.close(0.1)
    gateway.behave = ->(_lines) { :take }
    client(gateway.url).start
    assert_taken gateway, 0...800
  end

  def test_the_queue_is_bounded_in_bytes
    client = client(gateway { :hang }.url, spill_dir: nil, queue_bytes: 10_000)
    kept = Array.new(20) { client.track("spoken", chat_id: 1, properties: { text: "x" * 1_000 }) }.compact
    assert_operator kept.size, :<, 10
  end

  def test_the_disk_is_bounded_and_then_memory_is
    gateway = gateway()
    gateway.down
    client = client(gateway.url, spill_bytes: 20_000, segment_bytes: 5_000, queue_events: 50, batch_events: 10)
    told = 0
    eventually("the disk and the queue are full") { track(client, [told += 1]) == [nil] && client.stats[:spilled_bytes] > 19_000 }
    refute client.flush(0.1)
    assert_operator Dir.children(@dir).sum { |name| File.size(File.join(@dir, name)) }, :<=, 20_000
    assert_match(/as many as it may/, @log.string)
    stats = client.stats
    assert_equal told, stats[:tracked] + stats[:queue_full]
    gateway.up
    eventually("what was taken arrives") { gateway.taken.size == stats[:tracked] }
    eventually("no file is left") { files.empty? }
  end

  def test_a_directory_that_cannot_be_written_costs_nothing_while_the_gateway_is_there
    gateway = gateway()
    client = client(gateway.url, spill_dir: "/dev/null/none")
    track(client, 0...10)
    assert client.flush(10)
    gateway.down
    track(client, 10...20)
    refute client.flush(0.3)
    gateway.up
    assert_taken gateway, 0...20
    assert_match(/cannot write to .*wait in memory/, @log.string)
  end

  def test_a_directory_may_have_any_name
    gateway = gateway()
    gateway.down
    client = client(gateway.url, spill_dir: File.join(@dir, "[a]{b,c}*"))
    track(client, 0...10)
    assert client.flush(10)
    gateway.up
    assert_taken gateway, 0...10
  end

  def test_half_a_line_and_foreign_files_hold_nobody_up
    gateway = gateway()
    whole = ValeraAnalytics::Event.build("spoken", 1, { n: 0 }, nil, nil, nil).last
    File.write(File.join(@dir, "1-torn.ndjson"), "#{whole}\n\n#{whole[0, 40]}")
    File.mkfifo(File.join(@dir, "0-pipe.ndjson"))
    Dir.mkdir(File.join(@dir, "0-directory.ndjson"))
    client = client(gateway.url)
    client.start
    assert_taken gateway, 0...1
    eventually("the half is put aside") { files.include?("events.rejected") && !files.include?("1-torn.ndjson") }
  end

  def test_a_worker_that_dies_is_replaced
    gateway = gateway()
    client = client(gateway.url)
    track(client, 0...10)
    assert client.flush(10)
    Thread.list.select { |thread| thread.name == "valera-analytics" }.each { |thread| thread.kill.join }
    track(client, 10...20)
    assert client.flush(10)
    assert_taken gateway, 0...20
  end

  def test_no_address_and_no_token_keep_events
    [{ url: "ftp://x" }, { url: "http://[" }, { token: nil }].each do |wrong|
      client = client("http://127.0.0.1:1", **wrong)
      track(client, 0...10)
      assert client.flush(10)
      assert_operator client.stats[:spilled_bytes], :>, 0
      client.close
    end
    gateway = gateway()
    client(gateway.url).start
    eventually("they are taken in the end") { gateway.taken.size == 30 }
  end
end
