# frozen_string_literal: true

require_relative "support"
require "open3"

# The code that the documentation shows to the application is Ruby, and does what the page says around it.
class DocsTest < Minitest::Test
  ROOT = File.expand_path("../../..", __dir__)

  def blocks(page)
    File.read(File.join(ROOT, page)).scan(/^( *)```ruby\n(.*?)^\1```/m).map(&:last)
  end

  def test_every_block_is_ruby
    %w[docs/rails.md clients/ruby/README.md].each do |page|
      refute_empty blocks(page)
      blocks(page).each { |block| RubyVM::InstructionSequence.compile(block) }
    end
  end

  # What the application's own parts would say.
  FAKES = <<~RUBY
    require "date"
    require "bigdecimal"
    class Date; def self.current; today; end; end
    class Integer; def day; self * 86_400; end; end
    module Rails
      KEYS = {}
      def self.cache; self; end
      def self.write(key, value, unless_exist:, expires_in:); KEYS.key?(key) ? false : KEYS[key] = value; end
    end
    class ApplicationController
      attr_accessor :message
      def message_type; "text"; end
      def render(**); end
      def telegram_assistant; self; end
      def process_message(message); message["fails"] ? raise(IOError, "execution expired") : "answer"; end
    end
    class ApplicationRecord
      def self.after_create_commit(method); @committed = method; end
      def self.create!(fields); new.tap { |record| record.instance_variable_set(:@fields, fields); record.send(@committed) }; end
      def chat_id; @fields[:chat_id]; end
      def id; 7; end
      def services; [1, 2]; end
      def estimated_total; BigDecimal("15000.50"); end
    end
    module Telegram; module NotificationService; def self.new_booking(booking); end; end; end
  RUBY

  def test_the_integration_points_tell_what_the_page_says
    gateway = StubGateway.new
    parts = blocks("docs/rails.md").reject { |block| block.include?("initializers") }
    body = <<~RUBY
      def say(message)
        controller = Telegram::WebhookController.new
        controller.message = message.merge("chat" => { "id" => 42 })
        controller.create
      end
      2.times { say({}) }
      begin
        say("fails" => true)
      rescue IOError
        nil
      end
      BookingService.create_booking(42, {})
      [{}, { "confidence_score" => nil }, { "confidence_score" => 0 }].each do |said|
        ToolCallService.send(:handle_service_suggestion, { "service_name" => "Полировка", **said }, 42)
      end
      print [ChatAnalytics.user_segment(42), ChatAnalytics.user_segment(43)]
    RUBY
    Dir.mktmpdir do |dir|
      script = File.join(dir, "application.rb")
      File.write(script, [FAKES, *parts, body].join("\n"))
      env = { "ANALYTICS_ENABLED" => "true", "VALERA_GATEWAY_URL" => gateway.url, "VALERA_GATEWAY_TOKEN" => StubGateway::TOKEN,
              "VALERA_SPILL_DIR" => dir }
      said, status = Open3.capture2e(env, RbConfig.ruby, "-r", File.join(ROOT, "clients/ruby/valera_analytics.rb"), script)
      assert status.success?, said
      assert_equal '["engaged", nil]', said
    end
    told = gateway.events.map { |event| [event["event_name"], event["chat_id"], event["properties"].reject { |key, _| key =~ /timestamp|duration/ }] }
    answer = ["ai_response_time", 42, { "model_used" => "deepseek-chat" }]
    assert_equal [
      ["ai_dialog_started", 42, { "message_type" => "text", "platform" => "telegram" }], answer, answer,
      ["error_occurred", 42, { "error_class" => "IOError", "error_message" => "execution expired", "context" => "assistant",
                               "model_used" => "deepseek-chat" }],
      ["booking_request_created", 42, { "booking_id" => 7, "services_count" => 2, "estimated_total" => "15000.5" }],
      *[0.8, 0.8, 0].map do |confidence|
        ["service_suggested", 42, { "service_name" => "Полировка", "confidence_score" => confidence, "suggestion_type" => "ai_generated" }]
      end
    ], told
  ensure
    gateway&.down
  end
end
